"""What the control plane knows of MQTT's clients: sessions by client identifier, connections by link."""
from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from .packets import Filter, Will

NEVER = 0xFFFF_FFFF
"""A session expiry interval that does not end [MQTT-3.1.2.11.2]."""


@dataclass(slots=True)
class Subscription:
    """A filter as it was granted."""

    filter: Filter
    identifier: int


@dataclass(slots=True)
class Session:
    """One client identifier's session: `address` is its name in the data plane, `link_id` 0 while it is away."""

    client_id: str
    address: int
    reactor: int
    link_id: int = 0
    expiry_s: int = 0
    ended: bool = False
    end_reason: int = 0
    away_ms: int = 0                            # wall clock of the last connection's end
    connects: int = 0                           # CONNECTs that were accepted
    moving: frozenset[int] = frozenset()        # links on their way to the session's reactor
    subscriptions: dict[str, Subscription] = field(default_factory=dict)    # of a kept session all, else shared ones
    kept: bool = False                          # it has a record, and survives the broker
    pending_will: Will | None = None
    will_timer: asyncio.TimerHandle | None = None
    expiry_timer: asyncio.TimerHandle | None = None

    def disarm(self) -> None:
        """The client is back, or the session is over: no timer of its absence counts any more."""
        for timer in (self.will_timer, self.expiry_timer):
            if timer is not None:
                timer.cancel()
        self.will_timer = self.expiry_timer = None


@dataclass(slots=True)
class Connection:
    """One accepted link. `will` is None once the client has withdrawn it."""

    session: Session
    version: int
    will: Will | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The configuration's section `mqtt`, as far as the control plane applies it."""

    max_packet_size: int = 1 << 20
    receive_maximum: int = 1024
    topic_alias_max: int = 64
    max_inflight: int = 1000
    server_keepalive_max_s: int = 0
    session_expiry_max_s: int = NEVER
    max_sessions: int = 1_000_000
    max_subscriptions_per_session: int = 10_000
    deny_subscribe: tuple[str, ...] = ()
    shared_subscriptions: bool = True


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client says about itself before it is let in."""

    client_id: str
    username: str | None
    password: bytes | None
    version: int
