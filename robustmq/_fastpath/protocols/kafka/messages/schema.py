"""The schema's language: what schema.txt says, as objects."""
import re
from dataclasses import dataclass, field

# type: Struct code, bytes, annotation, default
FIXED = {
    "bool": ("?", 1, "bool", "False"),
    "int8": ("b", 1, "int", "0"),
    "int16": ("h", 2, "int", "0"),
    "int32": ("i", 4, "int", "0"),
    "int64": ("q", 8, "int", "0"),
    "uuid": ("16s", 16, "bytes", "UUID_ZERO"),
}
# type: reader and writer, annotation, default
SIZED = {"string": ("string", "str", '""'), "bytes": ("bytes", "bytes", 'b""'), "records": ("bytes", "bytes", 'b""')}
NEVER = (1, 0)


def snake(name: str) -> str:
    """ApiVersions -> api_versions."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def versions(text: str) -> tuple[int, int]:
    """"3+", "0-7" or "5" as a closed range."""
    match = re.fullmatch(r"(\d+)(\+|-(\d+))?", text)
    if not match:
        raise ValueError(f"not a version range: {text!r}")
    low = int(match[1])
    return low, 32767 if match[2] == "+" else int(match[3] or low)


@dataclass
class Field:
    """One line of the schema."""

    name: str
    type: str
    versions: tuple[int, int]
    null: tuple[int, int] = NEVER
    tag: int | None = None
    default: str | None = None
    fields: list["Field"] = field(default_factory=list)

    @property
    def array(self) -> bool:
        """Whether it is an array."""
        return self.type.startswith("[]")

    @property
    def element(self) -> str:
        """Its type, or that of its elements."""
        return self.type.removeprefix("[]")

    @property
    def fixed(self) -> bool:
        """Whether it is a scalar of fixed size."""
        return self.type in FIXED

    def annotation(self) -> str:
        """Its Python type."""
        inner = FIXED[self.element][2] if self.element in FIXED else SIZED.get(self.element, ("", self.element))[1]
        text = f"list[{inner}]" if self.array else inner
        return text if self.null == NEVER else f"{text} | None"

    def default_source(self) -> str:
        """Its default, as source."""
        if self.default is not None:
            return {"null": "None", "true": "True"}.get(self.default, self.default)
        if self.array:
            return "field(default_factory=list)"
        if self.fixed:
            return FIXED[self.type][3]
        return SIZED[self.type][2] if self.type in SIZED else f"field(default_factory={self.type})"

    def size_min(self) -> int:
        """Bytes that an element takes at least, in any version."""
        if self.tag is not None:
            return 0
        return FIXED[self.type][1] if self.fixed else 1


@dataclass
class Api:
    """One API of the schema."""

    key: int
    name: str
    versions: tuple[int, int]
    flexible: tuple[int, int]
    request: list[Field] = field(default_factory=list)
    response: list[Field] = field(default_factory=list)

    @property
    def module(self) -> str:
        """Name of its module."""
        return snake(self.name)


def parse(schema: str) -> list[Api]:
    """The APIs of a schema."""
    apis: list[Api] = []
    levels: list[list[Field]] = []
    for line in schema.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // 4
        if words[0] == "api":
            apis.append(Api(int(words[1]), words[2], versions(words[4]), versions(words[6])))
        elif depth == 0:
            levels = [apis[-1].request if words[0] == "request" else apis[-1].response]
        else:
            options = dict(zip(words[3::2], words[4::2], strict=True))
            item = Field(
                words[0], words[1], versions(words[2]), versions(options["null"]) if "null" in options else NEVER,
                int(options["tag"]) if "tag" in options else None, options.get("="))
            del levels[depth:]
            levels[depth - 1].append(item)
            levels.append(item.fields)
    return apis
