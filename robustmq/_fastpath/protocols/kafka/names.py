"""Topic names as Kafka allows them."""
import re

NAME_MAX = 249
_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def why_not_a_topic_name(name: str) -> str | None:
    """What is wrong with a name, None when nothing is."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        return (f"topic name {name[:NAME_MAX]!r} is not valid: 1 to {NAME_MAX} characters of a-z, A-Z, 0-9, '.', '_' "
                "and '-', but not '.' or '..'")
    return None
