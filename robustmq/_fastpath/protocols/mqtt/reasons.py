"""Reason codes of MQTT 5 that the cold half sends, and the return codes that older versions know instead."""
from enum import IntEnum


class Reason(IntEnum):
    """[MQTT-2.4], the subset that this broker sends from CONNECT, SUBSCRIBE and UNSUBSCRIBE."""

    SUCCESS = 0x00
    NO_SUBSCRIPTION_EXISTED = 0x11
    UNSPECIFIED = 0x80
    MALFORMED = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION = 0x83
    UNSUPPORTED_VERSION = 0x84
    CLIENT_ID_INVALID = 0x85
    BAD_CREDENTIALS = 0x86
    NOT_AUTHORIZED = 0x87
    UNAVAILABLE = 0x88
    BUSY = 0x89
    SHUTTING_DOWN = 0x8B
    BAD_METHOD = 0x8C
    TAKEN_OVER = 0x8E
    FILTER_INVALID = 0x8F
    TOPIC_INVALID = 0x90
    PACKET_TOO_LARGE = 0x95
    QUOTA = 0x97
    ADMINISTRATIVE = 0x98
    SHARED_UNSUPPORTED = 0x9E


# CONNACK return codes of 3.1 and 3.1.1 [MQTT-3.2.2.3]; a reason without a row closes without a CONNACK.
RETURN_CODES: dict[Reason, int] = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_VERSION: 1,
    Reason.CLIENT_ID_INVALID: 2,
    Reason.UNAVAILABLE: 3,
    Reason.BUSY: 3,
    Reason.QUOTA: 3,
    Reason.BAD_CREDENTIALS: 4,
    Reason.BAD_METHOD: 5,
    Reason.NOT_AUTHORIZED: 5,
}


class WireError(Exception):
    """A packet that its sender must not send; `reason` is what version 5 calls it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
