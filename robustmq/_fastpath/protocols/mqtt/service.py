"""MQTT's cold half: CONNECT, the SUBSCRIBE and UNSUBSCRIBE that a reactor leaves to it (requests.pxd), the end of
connections and of sessions, wills.

Runs on the control plane's event loop; each method between two awaits sees a consistent world. A link that sent a
packet is parked until its answer, so packets of one link never overtake each other; only the news that it is gone may
come between. `on_frame` does at once what waits for nothing, so that comes in the order of the frames.
"""
from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any

from robustmq._fastpath.broker.exchange import SubscribeError

from . import packets
from .needs import AllowAll, Authenticator, Reactors, Sessions, Subscriptions
from .packets import V5, Connect, Filter, Subscribe, Unsubscribe, Will, is_shared
from .properties import Properties, read_properties
from .reader import open_packet
from .reasons import Reason, WireError
from .records import Record, Records
from .sessions import NEVER, Connection, Credentials, Limits, Session, Subscription

log = logging.getLogger(__name__)

# ControlKind and AnswerKind of session.pxd; LINK_MOVED is the reactors' own.
LINK_MOVED = 0xFFFF_FFFF
FROM_LINK_CLOSED, FROM_LINK_PACKET, FROM_LINK_GOODBYE = 0, 1, 2
TO_LINK_ATTACH, TO_LINK_REPLY, TO_LINK_REFUSE = 1, 2, 3

# Statuses of status.pxd, by what the client did wrong.
STATUS = {Reason.MALFORMED: 16, Reason.PACKET_TOO_LARGE: 17, Reason.PROTOCOL_ERROR: 18, Reason.UNSUPPORTED_VERSION: 19,
          Reason.QUOTA: 29, Reason.BUSY: 29}
NOT_AUTHORIZED = 21
STORE_FULL = 48
Later = Coroutine[Any, Any, None]           # what is left to do once something has happened
PACKET_MAX = 268_435_460


def wall_ms() -> int:
    """The wall clock: what an expiry that outlives the broker is measured with."""
    return time.time_ns() // 1_000_000


class MqttService:
    """The registry of sessions and the answers to what reactors do not answer themselves."""

    def __init__(self, protocol: Sessions, reactors: Reactors, subscriptions: Subscriptions,
                 limits: Limits | None = None, authenticator: Authenticator | None = None,
                 records: Records | None = None) -> None:
        self._protocol = protocol
        self._reactors = reactors
        self._subscriptions = subscriptions
        self._limits = limits or Limits()
        self._authenticator = authenticator or AllowAll()
        self._records = records                         # None: sessions end with the broker
        self._sessions: dict[str, Session] = {}
        self._connections: dict[int, Connection] = {}
        self._admitting: set[int] = set()               # links whose CONNECT is being judged
        self._unpublished: list[tuple[Session, Will]] = []      # wills that wait for room in the journal

    def counters(self) -> dict[str, int]:
        """Gauges that only the control plane knows."""
        return {"sessions": len(self._sessions), "connections": len(self._connections)}

    def on_frame(self, link_id: int, kind: int, payload: bytes) -> Later | None:
        """A frame of a parked link, its goodbye, or the news that it is gone or has another id."""
        if kind == FROM_LINK_CLOSED:
            self._closed(link_id)
        elif kind == LINK_MOVED:
            self._moved(link_id, int.from_bytes(payload, "little"))
        elif kind == FROM_LINK_GOODBYE:
            self._goodbye(link_id, payload)
        elif payload[0] >> 4 == 1:
            self._admitting.add(link_id)
            return self._connect(link_id, payload)
        else:
            return self._request(link_id, payload)
        return None

    async def _connect(self, link_id: int, frame: bytes) -> None:
        version = packets.peek_version(frame)
        try:
            connect = packets.decode_connect(frame)
            await self._admit(link_id, connect)
        except WireError as error:
            self._admitting.discard(link_id)
            log.info("MQTT client refused: %s", error, extra={"link": link_id, "reason": error.reason.name})
            if error.reason is Reason.UNSUPPORTED_VERSION:
                version = packets.V311                              # it understands no other CONNACK for sure
            connack = packets.encode_connack(version, error.reason, False, {}) if version else b""
            self._refuse(link_id, error.reason, connack)

    def _refuse(self, link_id: int, reason: Reason, last_words: bytes) -> None:
        status = STATUS.get(reason, NOT_AUTHORIZED)
        self._reactors.answer(link_id, TO_LINK_REFUSE, bytes((status,)) + last_words)

    async def _admit(self, link_id: int, connect: Connect) -> None:
        if "authentication_method" in connect.properties:
            raise WireError(Reason.BAD_METHOD, "enhanced authentication is not offered")
        if not connect.client_id and connect.version != V5 and (not connect.clean or connect.version == packets.V31):
            raise WireError(Reason.CLIENT_ID_INVALID, "an empty client identifier")      # [MQTT-3.1.3-8]
        verdict = await self._authenticator.connect(
            Credentials(connect.client_id, connect.username, connect.password, connect.version))
        if link_id not in self._admitting:
            return                                                  # it is gone meanwhile
        self._admitting.discard(link_id)
        if verdict is not Reason.SUCCESS:
            raise WireError(verdict, "the credentials do not suffice")
        client_id = connect.client_id or f"auto-{uuid.uuid4().hex}"                      # [MQTT-3.1.3-6]
        session, present = self._session_for(link_id, client_id, connect)
        session.link_id = link_id
        session.connects += 1
        self._connections[link_id] = Connection(session, connect.version, connect.will)
        welcome = self._welcome(session, connect, present)
        await self._settled(session, self._save(session))       # if not: after a restart Session Present says so
        if not self._current(link_id, session):
            return
        if session.reactor == link_id >> 56:
            self._reactors.answer(link_id, TO_LINK_ATTACH, welcome, session.address)
        else:
            session.moving |= {link_id}
            self._reactors.move(link_id, session.reactor, TO_LINK_ATTACH, welcome, session.address)

    def _save(self, session: Session) -> int | None:
        """Write the record of a session that is to survive; the position for `_settled`, 0: there is none, None: the
        log took none."""
        if self._records is None or session.ended:
            return 0
        if session.expiry_s == 0:
            self._forget(session)
            return 0
        connection = self._connections.get(session.link_id)
        will = connection.will if connection is not None else session.pending_will
        will = will or next((unpublished for one, unpublished in self._unpublished if one is session), None)
        try:
            self._protocol.session_keep(session.address)
            session.kept = True
            return self._records.put(Record(
                session.client_id, self._protocol.session_number(session.address), session.expiry_s,
                0 if session.link_id else session.away_ms, will, list(session.subscriptions.values())))
        except OSError as error:
            log.error("a session would not survive a restart: %s", error, extra={"client": session.client_id})
            return None

    async def _settled(self, session: Session, position: int | None) -> bool:
        """Wait until what the answer depends on is durable. False: it is not, and never will be."""
        if position and self._records is not None:
            try:
                await self._records.settled(position)
            except OSError as error:
                log.error("a session would not survive a restart: %s", error, extra={"client": session.client_id})
                return False
        return position is not None

    def _current(self, link_id: int, session: Session) -> bool:
        """False: the link is gone, or no longer the session's."""
        if link_id not in self._connections:
            return False
        if session.ended or session.link_id != link_id:
            self._refuse(link_id, Reason.TAKEN_OVER, b"")           # before it was attached
            return False
        return True

    def _forget(self, session: Session) -> None:
        """Nothing of the session survives the broker any more."""
        if self._records is not None and session.kept:
            session.kept = False
            session.subscriptions = {text: one for text, one in session.subscriptions.items() if is_shared(text)}
            self._protocol.session_drop(session.address)
            try:
                self._records.remove(session.client_id)
            except OSError as error:
                log.error("a session that is over may come back after a restart: %s", error,
                          extra={"client": session.client_id})

    def _session_for(self, link_id: int, client_id: str, connect: Connect) -> tuple[Session, bool]:
        """The session to attach, and whether it was there before [MQTT-3.1.2-4 to -6, MQTT-3.1.4-3]."""
        session = self._sessions.get(client_id)
        if session is not None and (connect.clean or session.expiry_s == 0):
            self._end(session, Reason.TAKEN_OVER)       # or it ends with the connection that is being replaced
            session = None
        present = session is not None
        if session is None:
            if len(self._sessions) >= self._limits.max_sessions:
                raise WireError(Reason.QUOTA, f"mqtt.max_sessions is {self._limits.max_sessions}")
            reactor = link_id >> 56
            session = Session(client_id, self._protocol.session_open(client_id.encode(), reactor), reactor)
            self._sessions[client_id] = session
        session.disarm()
        session.pending_will = None                                 # it came back in time [MQTT-3.1.3-9]
        session.expiry_s = min(self._expiry(connect), self._limits.session_expiry_max_s)
        return session, present

    @staticmethod
    def _expiry(connect: Connect) -> int:
        if connect.version == V5:
            return connect.number("session_expiry", 0)
        return 0 if connect.clean else NEVER

    def _welcome(self, session: Session, connect: Connect, present: bool) -> bytes:
        """The ATTACH answer: what was negotiated, and the CONNACK that says so."""
        limits = self._limits
        keep_alive_s = connect.keep_alive_s
        properties: Properties = {}
        if connect.version == V5:
            properties = {"receive_maximum": limits.receive_maximum, "maximum_packet_size": limits.max_packet_size,
                          "topic_alias_maximum": limits.topic_alias_max}
            if not connect.client_id:
                properties["assigned_client_id"] = session.client_id
            if limits.server_keepalive_max_s and not 0 < keep_alive_s <= limits.server_keepalive_max_s:
                keep_alive_s = limits.server_keepalive_max_s
                properties["server_keep_alive"] = keep_alive_s                          # [MQTT-3.2.2-21]
            if session.expiry_s != connect.number("session_expiry", 0):
                properties["session_expiry"] = session.expiry_s                         # [MQTT-3.2.2.3.2]
            if not limits.shared_subscriptions:
                properties["shared_available"] = 0
            if connect.number("request_response_information", 0):
                properties["response_information"] = f"response/{session.client_id}/"   # [MQTT-3.1.2-28]
        return self._protocol.attach_payload(
            packets.encode_connack(connect.version, Reason.SUCCESS, present, properties),
            version=connect.version, keep_alive_ms=keep_alive_s * 1500,                 # [MQTT-3.1.2-22]
            max_packet_out=connect.number("maximum_packet_size", PACKET_MAX),
            send_maximum=connect.number("receive_maximum", 65_535 if connect.version == V5 else limits.max_inflight),
            alias_out_max=min(connect.number("topic_alias_maximum", 0), limits.topic_alias_max),
            persistent=session.expiry_s > 0, order=session.connects)

    def _request(self, link_id: int, frame: bytes) -> Later | None:
        """SUBSCRIBE or UNSUBSCRIBE."""
        connection = self._connections.get(link_id)
        if connection is None or connection.session.ended or connection.session.link_id != link_id:
            return None                                             # over, or taken over, meanwhile; it is being closed
        version = connection.version
        try:
            if frame[0] >> 4 == 8:
                return self._subscribe(link_id, connection, packets.decode_subscribe(frame, version))
            return self._unsubscribe(link_id, connection, packets.decode_unsubscribe(frame, version))
        except WireError as error:
            log.info("MQTT client closed: %s", error, extra={"client": connection.session.client_id})
            self._refuse(link_id, error.reason,
                         packets.encode_disconnect(error.reason, str(error)) if version == V5 else b"")
            return None

    def _subscribe(self, link_id: int, connection: Connection, request: Subscribe) -> Later | None:
        """It counts from here on; the answer of a session that is to survive waits until that is durable."""
        session = connection.session
        before = {wanted.text: session.subscriptions.get(wanted.text) for wanted in request.filters}
        codes: list[int] = []
        replays: list[Filter] = []
        for wanted in request.filters:
            refusal = self._denied(wanted)
            if refusal is not None:
                codes.append(refusal)
                continue
            one = Subscription(wanted, request.identifier)
            try:
                existed = self._put(session, one)
            except SubscribeError as error:
                log.info("subscription refused: %s", error, extra={"client": session.client_id})
                codes.append(Reason.QUOTA)
                continue
            codes.append(wanted.qos)
            # [MQTT-3.3.1-9 to -11]; a shared subscription gets none [MQTT-4.8.2].
            asked = wanted.retain_handling == 0 or (not existed and wanted.retain_handling == 1)
            if asked and not is_shared(wanted.text):
                replays.append(wanted)
        suback = packets.encode_suback(connection.version, request.packet_id, codes)
        if session.kept:
            refused = [code if code >= Reason.UNSPECIFIED else Reason.QUOTA for code in codes]
            return self._subscribed(link_id, session, suback, replays, request.identifier, before,
                                    packets.encode_suback(connection.version, request.packet_id, refused))
        self._granted(link_id, session, suback, replays, request.identifier)
        return None

    def _put(self, session: Session, one: Subscription) -> bool:
        """Add or replace; True when it replaced one. SubscribeError."""
        wanted = one.filter
        existed = self._subscriptions.subscribe(
            session.address, wanted.text, qos=wanted.qos, no_local=wanted.no_local,
            retain_as_published=wanted.retain_as_published, identifier=one.identifier,
            most=self._limits.max_subscriptions_per_session)
        if session.kept or is_shared(wanted.text):
            session.subscriptions[wanted.text] = one
        return existed

    async def _subscribed(self, link_id: int, session: Session, suback: bytes, replays: list[Filter], identifier: int,
                          before: dict[str, Subscription | None], refused: bytes) -> None:
        if not self._current(link_id, session):     # what was begun earlier has come first
            return
        # The snapshot says that all before it was considered: a restart sends nothing from before the subscription.
        position = await self._protocol.snapshot(session.address)
        record = self._save(session)
        kept = await self._settled(session, record if record is None else max(position, record))
        if not self._current(link_id, session):
            return
        if kept:
            self._granted(link_id, session, suback, replays, identifier)
            return
        for text, one in before.items():
            if one is not None:
                self._put(session, one)
            elif session.subscriptions.pop(text, None) is not None:
                self._subscriptions.unsubscribe(session.address, text)
        self._reactors.answer(link_id, TO_LINK_REPLY, refused)

    def _granted(self, link_id: int, session: Session, suback: bytes, replays: list[Filter], identifier: int) -> None:
        self._reactors.answer(link_id, TO_LINK_REPLY, suback)
        for one in replays:
            self._subscriptions.replay(session.address, one.text, one.qos, identifier)

    def _denied(self, wanted: Filter) -> int | None:
        """The reason code of a filter that is not granted [MQTT-3.9.3]."""
        if wanted.text in self._limits.deny_subscribe:
            return Reason.UNSPECIFIED               # the one refusal that clients of all versions know
        return Reason.SHARED_UNSUPPORTED if is_shared(wanted.text) and not self._limits.shared_subscriptions else None

    def _unsubscribe(self, link_id: int, connection: Connection, request: Unsubscribe) -> Later | None:
        session = connection.session
        codes: list[int] = []
        for text in request.filters:
            session.subscriptions.pop(text, None)
            existed = self._subscriptions.unsubscribe(session.address, text)
            codes.append(Reason.SUCCESS if existed else Reason.NO_SUBSCRIPTION_EXISTED)
        unsuback = packets.encode_unsuback(connection.version, request.packet_id, codes)
        if session.kept:
            return self._unsubscribed(link_id, connection, self._save(session), unsuback)
        self._reactors.answer(link_id, TO_LINK_REPLY, unsuback)
        return None

    async def _unsubscribed(self, link_id: int, connection: Connection, position: int | None, unsuback: bytes) -> None:
        kept = await self._settled(connection.session, position)
        if not self._current(link_id, connection.session):
            return
        if kept:
            self._reactors.answer(link_id, TO_LINK_REPLY, unsuback)
        else:                                       # 3.x has no code that says so: the client asks again
            self._refuse(link_id, Reason.QUOTA, packets.encode_disconnect(
                Reason.QUOTA, "the disk is full or has failed") if connection.version == V5 else b"")

    def _goodbye(self, link_id: int, frame: bytes) -> None:
        """DISCONNECT; the hot half has checked it [MQTT-3.14.4]."""
        connection = self._connections.get(link_id)
        if connection is None:
            return
        _, reader = open_packet(frame)
        if not reader.left or reader.u8() == Reason.SUCCESS:
            connection.will = None                                  # [MQTT-3.14.4-3]
        if reader.left:
            expiry = read_properties(reader, "disconnect").get("session_expiry")
            if isinstance(expiry, int):
                connection.session.expiry_s = min(expiry, self._limits.session_expiry_max_s)

    def _moved(self, link_id: int, now_id: int) -> None:
        """The link reached its session's reactor."""
        connection = self._connections.pop(link_id)
        session = connection.session
        self._connections[now_id] = connection
        if session.link_id == link_id:
            session.link_id = now_id
        self._arrived(session, link_id)

    def _arrived(self, session: Session, link_id: int) -> None:
        """No ATTACH is on its way any more: a session that ended meanwhile can be given up."""
        session.moving -= {link_id}
        if session.ended and not session.moving and session.address:
            self._protocol.session_end(session.address, session.end_reason)
            session.address = 0

    def _closed(self, link_id: int) -> None:
        """The connection is gone: its will, and the countdown of its session."""
        self._admitting.discard(link_id)
        connection = self._connections.pop(link_id, None)
        if connection is None:
            return
        session, will = connection.session, connection.will
        self._arrived(session, link_id)
        current = session.link_id == link_id and not session.ended
        if current:
            session.link_id = 0
            session.away_ms = wall_ms()
        if will is not None:
            delay_s = min(will.delay_s, session.expiry_s)
            if session.ended or delay_s == 0:
                self._publish_will(session, will)                   # [MQTT-3.1.2-8, 3.1.3.2.2]
            elif current:
                session.pending_will = will
                session.will_timer = asyncio.get_running_loop().call_later(delay_s, self._will_due, session)
        if current and session.expiry_s == 0:
            self._end(session, Reason.SUCCESS)
        elif current:
            self._save(session)
            if session.expiry_s != NEVER:
                session.expiry_timer = asyncio.get_running_loop().call_later(
                    session.expiry_s, self._end, session, Reason.SUCCESS)

    def adopt(self, sessions: Iterable[Session]) -> None:
        """Sessions that outlived the broker. Their clients are away since the connection's end, or since now when it
        was the broker that ended; a will that was due goes out, an expiry that has passed ends its session."""
        loop = asyncio.get_running_loop()
        now_ms = wall_ms()
        for session in sessions:
            session.away_ms = session.away_ms or now_ms
            away_s = max(0.0, (now_ms - session.away_ms) / 1000)
            self._sessions[session.client_id] = session
            self._save(session)
            if session.pending_will is not None:
                delay_s = min(session.pending_will.delay_s, session.expiry_s)
                session.will_timer = loop.call_later(max(0.0, delay_s - away_s), self._will_due, session)
            if session.expiry_s != NEVER:
                session.expiry_timer = loop.call_later(
                    max(0.0, session.expiry_s - away_s), self._end, session, Reason.SUCCESS)

    def _will_due(self, session: Session) -> None:
        will, session.pending_will, session.will_timer = session.pending_will, None, None
        if will is not None:
            self._publish_will(session, will)
            self._save(session)

    def _publish_will(self, session: Session, will: Will) -> None:
        status = self._protocol.publish(packets.encode_will(will), session.client_id.encode())
        if status == STORE_FULL and self._protocol.await_room(self._publish_again):
            self._unpublished.append((session, will))
        elif status:
            log.warning("will not published: status %d", status,
                        extra={"client": session.client_id, "topic": will.topic})

    def _publish_again(self) -> None:
        """Wills for which the journal had no room."""
        again, self._unpublished = self._unpublished, []
        for session, will in again:
            self._publish_will(session, will)
        for session, _ in again:
            self._save(session)

    def _end(self, session: Session, reason: Reason) -> None:
        """The session is over: a will that waited goes out now, nobody sends it anything any more [MQTT-4.1]."""
        session.disarm()
        self._will_due(session)
        session.ended = True
        self._forget(session)
        self._sessions.pop(session.client_id, None)
        for text in filter(is_shared, session.subscriptions):
            self._subscriptions.unsubscribe(session.address, text)
        session.subscriptions.clear()
        session.end_reason = reason
        self._arrived(session, 0)

    def clients(self) -> Iterator[dict[str, object]]:
        """Every session, for administrators."""
        for session in self._sessions.values():
            yield {"client_id": session.client_id, "connected": bool(session.link_id), "reactor": session.reactor,
                   "expiry_s": session.expiry_s, "subscriptions": self._subscriptions.subscriptions(session.address)}

    def disconnect(self, client_ids: Iterable[str], reason: Reason = Reason.ADMINISTRATIVE) -> int:
        """An administrator ends sessions; how many there were."""
        found = [self._sessions[client_id] for client_id in client_ids if client_id in self._sessions]
        for session in found:
            self._end(session, reason)
        return len(found)
