"""Generates this package's modules: `python -m robustmq._fastpath.protocols.kafka.messages.generate`.

One module per API; one dataclass per struct with `encode(out, version)` and `decode(reader, version)`. Consecutive
fields of fixed size and equal versions are read and written with one Struct. What a version does not carry is left at
its default by `decode` and left out by `encode`.
"""
import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from .schema import FIXED, NEVER, SIZED, Api, Field, parse, snake

HERE = Path(__file__).parent


class Condition:
    """`if` lines for version ranges, inside a struct that exists in `low`..`high`."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def within(self, item: Field) -> bool:
        """Whether any version of the struct carries the field."""
        return item.versions[0] <= self.high and item.versions[1] >= self.low

    def of(self, span: tuple[int, int]) -> str:
        """A test of `version`: "True" when it always holds, "False" when never."""
        low, high = span
        if low > self.high or high < self.low or low > high:
            return "False"
        if low <= self.low and high >= self.high:
            return "True"
        if low <= self.low:
            return f"version <= {high}"
        return f"version >= {low}" if high >= self.high else f"{low} <= version <= {high}"


class StructSource:
    """The dataclass of one struct."""

    def __init__(self, name: str, fields: list[Field], span: tuple[int, int], api: Api, layouts: set[str]) -> None:
        self.name, self.api, self.layouts = name, api, layouts
        self.when = Condition(*span)
        self.fields = [item for item in fields if self.when.within(item)]
        self.plain = [item for item in self.fields if item.tag is None]
        self.tagged = sorted((item for item in self.fields if item.tag is not None), key=lambda item: item.tag or 0)
        self.flexible = self.when.of(api.flexible)

    def lines(self, constants: list[str], doc: str) -> Iterator[str]:
        """The whole class."""
        yield from ("", "", "@dataclass(slots=True)", f"class {self.name}:", f'    """{doc}"""', "")
        yield from constants
        yield from (f"    {item.name}: {item.annotation()} = {item.default_source()}" for item in self.fields)
        yield from ("", "    def encode(self, out: bytearray, version: int) -> None:")
        yield from self.body(self.encode_plain, self.encode_tags)
        yield from ("", "    @classmethod", f'    def decode(cls, r: Reader, version: int) -> "{self.name}":',
                    "        self = cls()")
        yield from self.body(self.decode_plain, self.decode_tags)
        yield "        return self"

    def body(self, plain: Callable[[list[Field]], list[str]], tags: Callable[[], list[str]]) -> Iterator[str]:
        """Both directions walk the fields in the same order."""
        inner = [line for items in self.runs() for line in self.guarded(self.when.of(items[0].versions), plain(items))]
        if any("flexible" in line for line in inner) and self.flexible not in ("True", "False"):
            yield f"        flexible = {self.flexible}"
            guard = "flexible"
        else:
            inner = [re.sub(r"\bflexible\b", self.flexible, line) for line in inner]
            guard = self.flexible
        yield from inner
        if guard != "False":
            yield from self.guarded(guard, tags())

    @staticmethod
    def guarded(condition: str, lines: list[str]) -> Iterator[str]:
        """`lines` below an `if`, when one is needed."""
        if condition == "True":
            yield from (f"        {line}" for line in lines)
        else:
            yield from (f"        if {condition}:", *(f"            {line}" for line in lines))

    def runs(self) -> list[list[Field]]:
        """Fields in order, neighbours of equal versions together."""
        return [list(items) for _, items in groupby(self.plain, key=lambda item: self.when.of(item.versions))]

    def layout(self, items: list[Field]) -> str:
        """Name of the Struct that holds `items`."""
        codes = "".join(FIXED[item.type][0] for item in items)
        self.layouts.add(codes)
        return "_" + codes.upper().replace("?", "T")

    def encode_plain(self, items: list[Field]) -> list[str]:
        lines: list[str] = []
        for fixed, group in groupby(items, key=lambda item: item.fixed):
            members = list(group)
            if fixed:
                values = ", ".join(f"self.{item.name}" for item in members)
                lines.append(f"out += {self.layout(members)}.pack({values})")
            else:
                for item in members:
                    lines += self.encode_one(item, "out")
        return lines

    def encode_one(self, item: Field, out: str) -> list[str]:
        value = f"self.{item.name}"
        if item.fixed:
            return [f"{out} += {self.layout([item])}.pack({value})"]
        if item.type in SIZED:
            return [f"put_{SIZED[item.type][0]}({out}, {value}, flexible)"]
        if not item.array:
            if item.null == NEVER:
                return [f"{value}.encode({out}, version)"]
            return [f"{out}.append(0xFF if {value} is None else 1)", f"if {value} is not None:",
                    f"    {value}.encode({out}, version)"]
        if item.element in FIXED:
            lines = [f'{out} += pack(f">{{len({value})}}{FIXED[item.element][0]}", *{value})']
        elif item.element in SIZED:
            lines = [f"for text in {value}:", f"    put_{SIZED[item.element][0]}({out}, text, flexible)"]
        else:
            name = snake(item.element)
            lines = [f"for {name} in {value}:", f"    {name}.encode({out}, version)"]
        if item.null == NEVER:
            return [f"put_count({out}, len({value}), flexible)", *lines]
        return [f"put_count({out}, -1 if {value} is None else len({value}), flexible)", f"if {value} is not None:",
                *(f"    {line}" for line in lines)]

    def encode_tags(self) -> list[str]:
        if not self.tagged:
            return ["out.append(0)"]
        lines = ["tags = []"]
        for item in self.tagged:
            default = f"{item.type}()" if item.type not in FIXED and item.type not in SIZED else item.default_source()
            differs = f"self.{item.name}" if item.array or default == "False" else f"self.{item.name} != {default}"
            if default == "None":
                differs = f"self.{item.name} is not None"
            condition = self.when.of(item.versions)
            if condition not in ("True", self.flexible):
                differs = f"{condition} and {differs}"
            lines += [f"if {differs}:", "    value = bytearray()",
                      *(f"    {line.replace('flexible', 'True')}" for line in self.encode_one(item, "value")),
                      f"    tags.append(({item.tag}, value))"]
        return [*lines, "put_tags(out, tags)"]

    def decode_plain(self, items: list[Field]) -> list[str]:
        lines: list[str] = []
        for fixed, group in groupby(items, key=lambda item: item.fixed):
            members = list(group)
            if fixed:
                targets = ", ".join(f"self.{item.name}" for item in members) + ("," if len(members) == 1 else "")
                lines.append(f"{targets} = r.fixed({self.layout(members)})")
            else:
                for item in members:
                    lines += self.decode_one(item)
        return lines

    def decode_one(self, item: Field) -> list[str]:
        target = f"self.{item.name}"
        if item.fixed:
            return [f"{target}, = r.fixed({self.layout([item])})"]
        null = self.when.of((max(item.null[0], item.versions[0]), min(item.null[1], item.versions[1])))
        if null in ("True", self.when.of(item.versions)) and item.null != NEVER:
            null = "True"
        if item.type in SIZED:
            reader = SIZED[item.type][0]
            return [f"{target} = {self.either(null, f'r.nullable_{reader}(flexible)', f'r.{reader}(flexible)')}"]
        if not item.array:
            plain = f"{item.type}.decode(r, version)"
            return [f"{target} = {plain}" if null == "False" else f"{target} = {plain} if r.present() else None"]
        size = FIXED[item.element][1] if item.element in FIXED else max(1, self.element_size(item))
        count = self.either(null, f"r.nullable_count(flexible, {size})", f"r.count(flexible, {size})")
        if item.element in FIXED:
            code = FIXED[item.element][0]
            values = f'list(r.fixed(Struct(f">{{count}}{code}")))'
        elif item.element in SIZED:
            values = f"[r.{SIZED[item.element][0]}(flexible) for _ in range(count)]"
        else:
            values = f"[{item.element}.decode(r, version) for _ in range(count)]"
        return [f"count = {count}", f"{target} = {values if null == 'False' else f'None if count < 0 else {values}'}"]

    @staticmethod
    def either(null: str, lax: str, strict: str) -> str:
        """The reader that allows null in the versions that do."""
        return {"False": strict, "True": lax}.get(null, f"{lax} if {null} else {strict}")

    def element_size(self, item: Field) -> int:
        """Least bytes of an array's struct: only fields that all its versions carry count."""
        when = Condition(max(self.when.low, item.versions[0]), min(self.when.high, item.versions[1]))
        return sum(each.size_min() for each in item.fields if when.of(each.versions) == "True")

    def decode_tags(self) -> list[str]:
        if not self.tagged:
            return ["r.skip_tags()"]
        lines = ["for tag in r.tags():"]
        for i, item in enumerate(self.tagged):
            condition = self.when.of(item.versions)
            extra = "" if condition in ("True", self.flexible) else f" and {condition}"
            lines += [f"    {'elif' if i else 'if'} tag == {item.tag}{extra}:",
                      *(f"        {line.replace('flexible', 'True')}" for line in self.decode_one(item))]
        return lines


def module_source(api: Api) -> str:
    """The module of one API."""
    layouts: set[str] = set()
    classes: list[str] = []

    def walk(name: str, fields: list[Field], span: tuple[int, int], constants: list[str], doc: str) -> None:
        for item in fields:
            inner = max(span[0], item.versions[0]), min(span[1], item.versions[1])
            if item.fields and inner[0] <= inner[1]:
                walk(item.element, item.fields, inner, [], f"`{item.name}` of {name}.")
        classes.extend(StructSource(name, fields, span, api, layouts).lines(constants, doc))

    low, high = api.versions
    span = f"{low}, {high + 1}" if low else f"{high + 1}"
    constants = [f"    API_KEY: ClassVar[int] = {api.key}", f"    VERSIONS: ClassVar[range] = range({span})",
                 f"    FLEXIBLE_FROM: ClassVar[int] = {api.flexible[0]}"]
    for side, fields in (("Request", api.request), ("Response", api.response)):
        walk(f"{api.name}{side}", fields, api.versions, constants, f"{api.name} v{low}-v{high}, {side.lower()}.")
    body = "\n".join(classes)
    names = [name for name in ("UUID_ZERO", "Reader", "put_bytes", "put_count", "put_string", "put_tags")
             if re.search(rf"\b{name}\b", body)]
    structs = ["Struct"] + ["pack"] * bool(re.search(r"(?<![._\w])pack\(", body))
    head = [f'"""{api.name} (key {api.key}). Generated from schema.txt by generate.py; do not edit."""',
            f"from dataclasses import dataclass{', field' if 'field(' in body else ''}",
            f"from struct import {', '.join(structs)}", "from typing import ClassVar", "",
            f"from ..primitives import {', '.join(names)}", "",
            *(f'_{codes.upper().replace("?", "T")} = Struct(">{codes}")' for codes in sorted(layouts))]
    return "\n".join([*head, *classes]) + "\n"


def index_source(apis: list[Api]) -> str:
    """The package's own module: every request and response by name."""
    lines = ['"""Kafka\'s messages: dataclasses generated from schema.txt by generate.py; do not edit."""']
    lines += [f"from .{api.module} import {api.name}Request, {api.name}Response"
              for api in sorted(apis, key=lambda api: api.module)]
    names = sorted(f"{api.name}{side}" for api in apis for side in ("Request", "Response"))
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in names), "]"]
    return "\n".join(lines) + "\n"


def modules(schema: str) -> dict[str, str]:
    """File name -> source of everything that the schema makes."""
    apis = parse(schema)
    return {"__init__.py": index_source(apis)} | {f"{api.module}.py": module_source(api) for api in apis}


def main() -> None:
    """Write the modules beside this one."""
    for name, source in modules((HERE / "schema.txt").read_text()).items():
        (HERE / name).write_text(source)


if __name__ == "__main__":
    main()
