"""Sessions of the broker's last life: made again before anybody may connect.

    records -> sessions with their numbers, subscribed again -> windows and queues from the journal
            -> the log is delivered again from the floors on
"""
from __future__ import annotations

import logging
import zlib
from typing import Protocol

from robustmq._fastpath.broker.exchange import SubscribeError

from .records import Record, Records
from .sessions import Session

log = logging.getLogger(__name__)


class Sessions(Protocol):
    """What this room needs of the data plane's half (protocol.pyx)."""

    def number_from(self, first: int) -> None: ...
    def session_restore(self, client_id: bytes, reactor: int, number: int) -> int: ...
    def session_replay(self, address: int) -> tuple[int, int]: ...
    def restored(self) -> None: ...


class Exchange(Protocol):
    """What this room needs of the broker."""

    def subscribe(self, consumer: int, filter: str, *, qos: int, no_local: bool, retain_as_published: bool,
                  identifier: int) -> object: ...
    def restart_begin(self) -> None: ...
    def restart(self, lowest: int) -> int: ...


def restore(protocol: Sessions, exchange: Exchange, records: Records, *, threads: int,
            max_sessions: int) -> list[Session]:
    """The sessions that outlived the broker, with what waits for them. LogError, MemoryError."""
    protocol.number_from(records.begin_life())
    found = sorted(records.all(), key=lambda record: record.number)
    for record in found[max_sessions:]:
        log.warning("a session is given up: mqtt.max_sessions is %d", max_sessions, extra={"client": record.client_id})
        records.remove(record.client_id)
    if not found:
        protocol.restored()
        return []
    exchange.restart_begin()
    sessions = [_make(protocol, exchange, record, threads) for record in found[:max_sessions]]
    floors = []
    for session in sessions:
        unreadable, floor = protocol.session_replay(session.address)
        floors.append(floor)
        if unreadable:
            log.error("%d entries of a session cannot be read: messages may come again", unreadable,
                      extra={"client": session.client_id})
    protocol.restored()
    delivered = exchange.restart(min(floors, default=0))
    log.info("%d sessions restored, %d records delivered again", len(sessions), delivered)
    return sessions


def _make(protocol: Sessions, exchange: Exchange, record: Record, threads: int) -> Session:
    raw = record.client_id.encode()
    reactor = zlib.crc32(raw) % threads
    session = Session(record.client_id, protocol.session_restore(raw, reactor, record.number), reactor, kept=True,
                      expiry_s=record.expiry_s, away_ms=record.away_ms, pending_will=record.will)
    for one in record.subscriptions:
        wanted = one.filter
        try:
            exchange.subscribe(session.address, wanted.text, qos=wanted.qos, no_local=wanted.no_local,
                               retain_as_published=wanted.retain_as_published, identifier=one.identifier)
            session.subscriptions[wanted.text] = one
        except SubscribeError as error:
            log.error("a subscription is not restored: %s", error, extra={"client": record.client_id})
    return session
