"""The configuration as TOML with every key (--print-config), and as the page docs/operations/configuration.md.

    python -m robustmq.server.config.render > docs/operations/configuration.md
"""
from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from robustmq.server.config.sections import SECTIONS, Config, Mapping, kind_of

INTRODUCTION = """\
# Configuration

Made from `robustmq/server/config/sections.py` by `python -m robustmq.server.config.render`; a test keeps it current.

Every key has a default: `robustmq-server` needs no file. Later sources win:

1. the default,
2. a TOML file: `robustmq-server --config robustmq.toml`, with `[section]` and `key = value`,
3. the environment: `ROBUSTMQ_SECTION_KEY`, like `ROBUSTMQ_MQTT_MAX_QUEUED=5000`,
4. the command line: `--set mqtt.max_queued=5000`, as often as needed.

Sizes take a unit (`"128MiB"`), durations too (`"30s"`); a plain number is in the unit that the key's name ends in.
`robustmq-server --print-config` prints what a start would use. A mistake ends the start with the key, the value and
what is allowed.
"""


def toml(config: Config) -> str:
    """All keys with their values and what they mean; it can be read back."""
    parts: list[str] = []
    for section in SECTIONS:
        held = getattr(config, section)
        parts += [f"# {first_line(type(held))}", f"[{section}]", *toml_keys(held), ""]
    for rule in config.mapping:
        parts += ["[[mapping]]", *toml_keys(rule), ""]
    return "\n".join(parts)


def toml_keys(section: Any) -> Iterator[str]:
    """The lines of one section."""
    for item in fields(section):
        yield from textwrap.wrap(item.metadata["says"], 118, initial_indent="# ", subsequent_indent="# ")
        yield f"{item.name} = {kind_of(item).show(getattr(section, item.name))}"


def page() -> str:
    """The page of documentation."""
    parts = [INTRODUCTION]
    for section, kind in SECTIONS.items():
        parts += [f"## [{section}]", "", first_line(kind), "", *table(kind), ""]
    parts += ["## [[mapping]]", "", first_line(Mapping), "`filter` and `topic` are needed.", "", *table(Mapping)]
    return "\n".join(parts) + "\n"


def table(kind: type[Any]) -> Iterator[str]:
    """A section's keys as a table."""
    yield "| key | default | allowed | meaning |"
    yield "|---|---|---|---|"
    for item in fields(kind):
        allowed = kind_of(item).allowed.replace("|", "\\|")
        yield f"| `{item.name}` | `{kind_of(item).show(item.default)}` | {allowed} | {item.metadata['says']} |"


def first_line(kind: type[Any]) -> str:
    """What a section is about."""
    assert kind.__doc__ is not None
    return kind.__doc__.partition("\n")[0]


if __name__ == "__main__":
    print(page(), end="")
