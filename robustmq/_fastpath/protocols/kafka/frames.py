"""Request and response headers: what stands between a frame's size and its message."""
from dataclasses import dataclass
from struct import Struct
from typing import ClassVar, Protocol

from .primitives import Reader, put_string

_HEADER = Struct(">hhi")
_CORRELATION = Struct(">i")
API_VERSIONS = 18


class Message(Protocol):
    """Any generated request or response."""

    API_KEY: ClassVar[int]
    FLEXIBLE_FROM: ClassVar[int]

    def encode(self, out: bytearray, version: int) -> None: ...


@dataclass(slots=True)
class RequestHeader:
    """Request header v1, or v2 when the API's version is flexible. The client id is never compact."""

    api_key: int
    version: int
    correlation_id: int
    client_id: str | None = None

    @classmethod
    def decode(cls, r: Reader, flexible_from: dict[int, int]) -> "RequestHeader":
        """Read a header; of an API that `flexible_from` does not know, the first three fields only."""
        self = cls(*r.fixed(_HEADER))
        if self.api_key in flexible_from:
            self.client_id = r.nullable_string(False)
            if self.version >= flexible_from[self.api_key]:
                r.skip_tags()
        return self


def encode_request(message: Message, version: int, correlation_id: int, client_id: str | None) -> bytes:
    """A whole request without its size."""
    out = bytearray(_HEADER.pack(message.API_KEY, version, correlation_id))
    put_string(out, client_id, False)
    if version >= message.FLEXIBLE_FROM:
        out.append(0)
    message.encode(out, version)
    return bytes(out)


def encode_response(message: Message, version: int, correlation_id: int) -> bytes:
    """A whole response without its size. The header of ApiVersions has no tagged fields, whatever the version
    (KIP-511): a client that does not know what the broker speaks must be able to read it.
    """
    out = bytearray(_CORRELATION.pack(correlation_id))
    if version >= message.FLEXIBLE_FROM and message.API_KEY != API_VERSIONS:
        out.append(0)
    message.encode(out, version)
    return bytes(out)


def decode_response_header(r: Reader, api_key: int, flexible: bool) -> int:
    """The correlation id of a response (the client's side)."""
    correlation_id: int = r.fixed(_CORRELATION)[0]
    if flexible and api_key != API_VERSIONS:
        r.skip_tags()
    return correlation_id
