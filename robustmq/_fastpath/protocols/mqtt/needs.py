"""What MQTT's cold half (service.py) needs of others."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from .reasons import Reason
from .sessions import Credentials


class Reactors(Protocol):
    """What this room needs of the reactors."""

    def answer(self, link_id: int, kind: int, payload: bytes, obj_ptr: int = 0) -> None:
        """Answer a parked frame, or command a link; dropped when the link is gone."""

    def move(self, link_id: int, reactor: int, kind: int, payload: bytes, obj_ptr: int = 0) -> None:
        """Hand the parked link to another reactor and answer it there; LINK_MOVED tells its new id."""


class Sessions(Protocol):
    """What this room needs of the data plane's half (protocol.pyx)."""

    def session_open(self, client_id: bytes, reactor: int) -> int: ...
    def session_end(self, address: int, reason: int) -> None: ...
    def attach_payload(self, connack: bytes, *, version: int, keep_alive_ms: int, max_packet_out: int,
                       send_maximum: int, alias_out_max: int, persistent: bool, order: int) -> bytes: ...
    def publish(self, frame: bytes, client_id: bytes = b"", origin: int = 0) -> int: ...
    def await_room(self, told: Callable[[], None]) -> bool: ...
    def session_number(self, address: int) -> int: ...
    def session_keep(self, address: int) -> None: ...
    def session_drop(self, address: int) -> None: ...
    def snapshot(self, address: int) -> asyncio.Future[int]: ...


class Subscriptions(Protocol):
    """What this room needs of the broker: who gets what. `consumer` is a session's address."""

    def subscribe(self, consumer: int, filter: str, *, qos: int, no_local: bool, retain_as_published: bool,
                  identifier: int, most: int) -> bool:
        """Add or replace, True when it replaced; the filter may be a shared one. SubscribeError: it cannot be made, or
        would be more than `most` of this consumer."""

    def unsubscribe(self, consumer: int, filter: str) -> bool:
        """Remove, False when there was none; what the consumer has not acknowledged of a shared one goes to others."""

    def subscriptions(self, consumer: int) -> int:
        """How many it has."""

    def replay(self, consumer: int, filter: str, qos: int, identifier: int) -> None:
        """Send the retained messages that match, behind every answer that was given before."""


class Authenticator(Protocol):
    """Who may connect."""

    async def connect(self, credentials: Credentials) -> Reason:
        """SUCCESS, BAD_CREDENTIALS or NOT_AUTHORIZED."""


class AllowAll:
    """Everybody may."""

    async def connect(self, credentials: Credentials) -> Reason:
        """[MQTT-3.1.4-2]"""
        return Reason.SUCCESS
