"""Hypothesis strategies for every message of the Kafka schema, at a given version."""
import importlib
from functools import cache
from types import ModuleType
from typing import Any

from hypothesis import strategies as st

from robustmq._fastpath.protocols.kafka.messages.generate import HERE
from robustmq._fastpath.protocols.kafka.messages.schema import Api, Field, parse

APIS = parse((HERE / "schema.txt").read_text())
CASES = [(api.name, side, version) for api in APIS for side in ("Request", "Response")
         for version in range(api.versions[0], api.versions[1] + 1)]

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int8": st.integers(-(2**7), 2**7 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uuid": st.binary(min_size=16, max_size=16),
    "string": TEXT,
    "bytes": st.binary(max_size=20),
    "records": st.binary(max_size=200),
}


def api_named(name: str) -> Api:
    """The API of that name."""
    return next(api for api in APIS if api.name == name)


def module_of(api: Api) -> ModuleType:
    """Its generated module."""
    return importlib.import_module(f"robustmq._fastpath.protocols.kafka.messages.{api.module}")


def scalar(item: Field) -> st.SearchStrategy[Any]:
    """A value that the reference codec can hold too: known errors only, times within its clock's range."""
    if item.name.endswith("error_code"):
        return st.integers(-1, 119)
    if item.name.endswith("_ms") and item.type == "int64":
        return st.integers(0, 2**41)
    return SCALARS[item.element]


def value(module: ModuleType, item: Field, version: int) -> st.SearchStrategy[Any]:
    """A value of one field."""
    one = struct(module, item.element, item.fields, version) if item.fields else scalar(item)
    some = st.lists(one, max_size=3) if item.array else one
    return st.none() | some if item.null[0] <= version <= item.null[1] else some


def struct(module: ModuleType, name: str, fields: list[Field], version: int) -> st.SearchStrategy[Any]:
    """A struct with every field that `version` carries; the others keep their defaults."""
    present = {item.name: value(module, item, version) for item in fields
               if item.versions[0] <= version <= item.versions[1]}
    return st.builds(getattr(module, name), **present)


@cache
def message(name: str, side: str, version: int) -> st.SearchStrategy[Any]:
    """A whole request or response."""
    api = api_named(name)
    return struct(module_of(api), name + side, api.request if side == "Request" else api.response, version)
