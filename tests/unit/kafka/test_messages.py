"""The generated codecs: current, inverse to themselves, equal to the `kio` package, and bounded."""
import io
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kio.index import load_payload_module
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from robustmq._fastpath.protocols.kafka.messages import generate
from robustmq._fastpath.protocols.kafka.primitives import Malformed, Reader

from .strategies import CASES, api_named, message, module_of

QUICK = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
every_message = pytest.mark.parametrize(("name", "side", "version"), CASES, ids=lambda value: str(value))


def encoded(value: Any, version: int) -> bytes:
    """The bytes of a message."""
    out = bytearray()
    value.encode(out, version)
    return bytes(out)


def decoded(kind: Any, data: bytes, version: int) -> Any:
    """The message of all of `data`."""
    reader = Reader(data)
    value = kind.decode(reader, version)
    assert reader.pos == len(data)
    return value


def plain(theirs: Any) -> Any:
    """A value of kio as ours would be."""
    match theirs:
        case UUID():
            return theirs.bytes
        case timedelta():
            return round(theirs.total_seconds() * 1000)
        case datetime():
            return round(theirs.timestamp() * 1000)
        case Enum():
            return theirs.value
    return theirs


def assert_same(ours: Any, theirs: Any) -> None:
    """Field by field, by name."""
    if is_dataclass(theirs):
        for item in fields(theirs):
            name = item.name if hasattr(ours, item.name) else f"{item.name}_ms"  # kio drops the unit of a time
            assert_same(getattr(ours, name), getattr(theirs, item.name))
    elif isinstance(theirs, tuple):
        assert len(ours) == len(theirs)
        for our, their in zip(ours, theirs, strict=True):
            assert_same(our, their)
    elif theirs is None:
        assert ours in (None, bytes(16), -1)  # kio shows a zero UUID and the time -1 as None
    else:
        assert ours == plain(theirs)


def test_generated_modules_are_current() -> None:
    for name, source in generate.modules((generate.HERE / "schema.txt").read_text()).items():
        assert (generate.HERE / name).read_text() == source, f"{name}: run `make messages`"


@every_message
def test_round_trip_and_kio(name: str, side: str, version: int) -> None:
    kind = getattr(module_of(api_named(name)), name + side)
    kio_kind = getattr(load_payload_module(kind.API_KEY, version, EntityType[side.lower()]), name + side)
    read, write = entity_reader(kio_kind), entity_writer(kio_kind)

    @QUICK
    @given(message(name, side, version))
    def check(ours: Any) -> None:
        data = encoded(ours, version)
        assert decoded(kind, data, version) == ours
        theirs, size = read(data, 0)
        assert size == len(data)
        assert_same(ours, theirs)
        out = io.BytesIO()
        write(out, theirs)
        assert decoded(kind, out.getvalue(), version) == ours

    check()


@every_message
def test_every_cut_is_malformed(name: str, side: str, version: int) -> None:
    kind = getattr(module_of(api_named(name)), name + side)

    @QUICK
    @given(message(name, side, version))
    def check(ours: Any) -> None:
        data = encoded(ours, version)
        for cut in range(min(len(data), 120)):
            with pytest.raises(Malformed):
                kind.decode(Reader(data[:cut]), version)

    check()


@every_message
def test_noise_is_a_message_or_malformed(name: str, side: str, version: int) -> None:
    kind = getattr(module_of(api_named(name)), name + side)

    @QUICK
    @given(st.binary(max_size=60))
    def check(data: bytes) -> None:
        try:
            kind.decode(Reader(data), version)
        except Malformed:
            return

    check()
