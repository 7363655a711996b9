"""InitProducerId (key 22). Generated from schema.txt by generate.py; do not edit."""
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar

from ..primitives import Reader, put_string

_I = Struct(">i")
_IHQH = Struct(">ihqh")
_QH = Struct(">qh")


@dataclass(slots=True)
class InitProducerIdRequest:
    """InitProducerId v0-v5, request."""

    API_KEY: ClassVar[int] = 22
    VERSIONS: ClassVar[range] = range(6)
    FLEXIBLE_FROM: ClassVar[int] = 2
    transactional_id: str | None = ""
    transaction_timeout_ms: int = 0
    producer_id: int = -1
    producer_epoch: int = -1

    def encode(self, out: bytearray, version: int) -> None:
        flexible = version >= 2
        put_string(out, self.transactional_id, flexible)
        out += _I.pack(self.transaction_timeout_ms)
        if version >= 3:
            out += _QH.pack(self.producer_id, self.producer_epoch)
        if flexible:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "InitProducerIdRequest":
        self = cls()
        flexible = version >= 2
        self.transactional_id = r.nullable_string(flexible)
        self.transaction_timeout_ms, = r.fixed(_I)
        if version >= 3:
            self.producer_id, self.producer_epoch = r.fixed(_QH)
        if flexible:
            r.skip_tags()
        return self


@dataclass(slots=True)
class InitProducerIdResponse:
    """InitProducerId v0-v5, response."""

    API_KEY: ClassVar[int] = 22
    VERSIONS: ClassVar[range] = range(6)
    FLEXIBLE_FROM: ClassVar[int] = 2
    throttle_time_ms: int = 0
    error_code: int = 0
    producer_id: int = -1
    producer_epoch: int = 0

    def encode(self, out: bytearray, version: int) -> None:
        out += _IHQH.pack(self.throttle_time_ms, self.error_code, self.producer_id, self.producer_epoch)
        if version >= 2:
            out.append(0)

    @classmethod
    def decode(cls, r: Reader, version: int) -> "InitProducerIdResponse":
        self = cls()
        self.throttle_time_ms, self.error_code, self.producer_id, self.producer_epoch = r.fixed(_IHQH)
        if version >= 2:
            r.skip_tags()
        return self
