"""One sample of every Kafka message at every version; `python -m tests.spec.kafka.sample` writes messages.json again.

Every field has a value of its own; of two array elements the second has null where it may. That the codecs are right
is checked against the `kio` package (tests/unit/kafka); these bytes are kept, so that no change of the generator moves
one.
"""
import json
import zlib
from pathlib import Path
from typing import Any

from robustmq._fastpath.protocols.kafka.messages.schema import FIXED, Field
from tests.unit.kafka.strategies import CASES, api_named, module_of

FILE = Path(__file__).parent / "messages.json"


def scalar(kind: str, name: str, turn: int) -> Any:
    """A value that says which field it is of."""
    number = zlib.crc32(f"{name}{turn}".encode())
    match kind:
        case "string":
            return f"{name}-{turn}"
        case "bytes" | "records":
            return f"<{name} {turn}>".encode()
        case "bool":
            return turn == 0
        case "uuid":
            return name.encode()[:15].ljust(15, b".") + b"%d" % turn
    return number % (1 << (8 * FIXED[kind][1] - 1)) if turn == 0 else -(number % 100)


def struct(module: Any, name: str, fields: list[Field], version: int, turn: int) -> Any:
    """A struct with the fields that `version` carries."""
    values = {}
    for item in fields:
        if not item.versions[0] <= version <= item.versions[1]:
            continue

        def one(number: int, item: Field = item) -> Any:
            if item.fields:
                return struct(module, item.element, item.fields, version, number)
            return scalar(item.element, item.name, number)

        if turn == 1 and item.null[0] <= version <= item.null[1]:
            values[item.name] = None
        else:
            values[item.name] = [one(0), one(1)] if item.array else one(turn)
    return getattr(module, name)(**values)


def sample(name: str, side: str, version: int) -> Any:
    """The sample of one message."""
    api = api_named(name)
    return struct(module_of(api), name + side, api.request if side == "Request" else api.response, version, 0)


def main() -> None:
    """Write the file."""
    lines = []
    for name, side, version in CASES:
        out = bytearray()
        sample(name, side, version).encode(out, version)
        lines.append(json.dumps({"message": name + side, "version": version, "hex": out.hex()}))
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
