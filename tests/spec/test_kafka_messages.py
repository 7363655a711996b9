"""Kafka's messages against kept bytes: each version of each message whole, and cut at every byte."""
import json
from typing import Any

import pytest

from robustmq._fastpath.protocols.kafka import messages
from robustmq._fastpath.protocols.kafka.primitives import Malformed, Reader
from tests.spec.kafka.sample import FILE, sample
from tests.unit.kafka.strategies import CASES

VECTORS = [pytest.param(each["message"], each["version"], bytes.fromhex(each["hex"]),
                        id=f"{each['message']}-v{each['version']}") for each in json.loads(FILE.read_text())]


def split(message: str) -> tuple[str, str]:
    side = "Request" if message.endswith("Request") else "Response"
    return message.removesuffix(side), side


@pytest.mark.parametrize(("message", "version", "data"), VECTORS)
def test_whole_and_cut(message: str, version: int, data: bytes) -> None:
    kind: Any = getattr(messages, message)
    wanted = sample(*split(message), version)
    out = bytearray()
    wanted.encode(out, version)
    assert out.hex() == data.hex()
    reader = Reader(data + b"\x00")
    assert kind.decode(reader, version) == wanted
    assert reader.pos == len(data)
    for cut in range(len(data)):
        with pytest.raises(Malformed):
            kind.decode(Reader(data[:cut]), version)


def test_every_message_and_version_has_a_vector() -> None:
    assert [(*split(each["message"]), each["version"]) for each in json.loads(FILE.read_text())] == CASES
