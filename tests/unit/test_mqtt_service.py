"""The cold half over fakes: who gets which session, what is answered, when wills go out and sessions end."""
from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from robustmq._fastpath.broker.exchange import SubscribeError

from robustmq._fastpath.protocols.mqtt.properties import Properties, put_properties, read_properties
from robustmq._fastpath.protocols.mqtt.reader import close_packet, open_packet, put_binary
from robustmq._fastpath.protocols.mqtt.reasons import Reason
from robustmq._fastpath.protocols.mqtt.records import Records
from robustmq._fastpath.protocols.mqtt.service import MqttService
from robustmq._fastpath.protocols.mqtt.sessions import Credentials, Limits
from robustmq._fastpath.stores.files import LogError

CLOSED, PACKET, GOODBYE = 0, 1, 2
ATTACH, REPLY, REFUSE = 1, 2, 3
MOVED = 0xFFFF_FFFF
STORE_FULL = 48


class Fakes:
    """Protocol, reactors and subscriptions in one, that write down what they were told."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, int, bytes, int]] = []
        self.ended: list[tuple[int, int]] = []
        self.published: list[bytes] = []
        self.no_room = False
        self.calls: list[tuple[Any, ...]] = []
        self.opened = 0
        self.kept: set[int] = set()
        self.filters: dict[int, set[str]] = {}
        self.attached: list[dict[str, Any]] = []

    def answer(self, link_id: int, kind: int, payload: bytes, obj_ptr: int = 0) -> None:
        self.answers.append((link_id, kind, payload, obj_ptr))

    def move(self, link_id: int, reactor: int, kind: int, payload: bytes, obj_ptr: int = 0) -> None:
        self.calls.append(("move", link_id, reactor))
        self.answers.append((link_id, kind, payload, obj_ptr))

    def session_open(self, client_id: bytes, reactor: int) -> int:
        self.opened += 1
        return 1000 + self.opened

    def session_end(self, address: int, reason: int) -> None:
        self.ended.append((address, reason))

    def attach_payload(self, connack: bytes, **how: Any) -> bytes:
        self.attached.append(how)
        return connack

    def publish(self, frame: bytes, client_id: bytes = b"", origin: int = 0) -> int:
        if self.no_room:
            return STORE_FULL
        self.published.append(frame)
        return 0

    def await_room(self, told: Callable[[], None]) -> bool:
        self.told = told
        return self.no_room

    def subscribe(self, consumer: int, filter: str, **options: Any) -> bool:
        own = self.filters.setdefault(consumer, set())
        if filter in own:
            return True
        if len(own) == options["most"]:
            raise SubscribeError(29, "too many")
        own.add(filter)
        self.calls.append(("subscribe", consumer, filter, options["qos"]))
        return False

    def unsubscribe(self, consumer: int, filter: str) -> bool:
        if filter not in self.filters.get(consumer, ()):
            return False
        self.filters[consumer].remove(filter)
        self.calls.append(("unsubscribe", consumer, filter))
        return True

    def subscriptions(self, consumer: int) -> int:
        return len(self.filters.get(consumer, ()))

    def session_number(self, address: int) -> int:
        return address

    def session_keep(self, address: int) -> None:
        self.calls.append(("keep", address))
        self.kept.add(address)

    def session_drop(self, address: int) -> None:
        self.kept.discard(address)

    def snapshot(self, address: int) -> asyncio.Future[int]:
        self.calls.append(("snapshot", address))
        saved: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        saved.set_result(1)
        return saved

    def replay(self, consumer: int, filter: str, qos: int, identifier: int) -> None:
        self.calls.append(("replay", consumer, filter))


class FullDisk:
    """A state log that takes nothing, or whose sync fails."""

    def __init__(self) -> None:
        self.full = False
        self.failed = False

    def state_items(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return []

    def state_put(self, key: bytes, value: bytes | None) -> int:
        if self.full:
            raise LogError("no space left")
        return 1

    async def durable(self, position: int) -> None:
        if self.failed:
            raise OSError("input/output error")


class World:
    def __init__(self, limits: Limits | None = None, authenticator: Any = None, disk: FullDisk | None = None) -> None:
        self.fakes = Fakes()
        records = Records(disk, wait=True) if disk else None
        self.service = MqttService(self.fakes, self.fakes, self.fakes, limits, authenticator, records)

    async def send(self, link: int, frame: bytes, kind: int = PACKET) -> tuple[int, int, bytes, int]:
        """The last answer."""
        await self.frame(link, kind, frame)
        return self.fakes.answers[-1]

    async def frame(self, link: int, kind: int, frame: bytes) -> None:
        """Served to its end."""
        rest = self.service.on_frame(link, kind, frame)
        if rest is not None:
            await rest

    async def connect(self, link: int, client: str = "c", version: int = 5, clean: bool = True, will: bytes = b"",
                      properties: Properties | None = None, keep_alive: int = 60) -> tuple[int, bytes]:
        """(kind of the answer, its bytes)."""
        body = put_binary(b"MQIsdp" if version == 3 else b"MQTT") + bytes((version, clean << 1 | (4 if will else 0)))
        body += keep_alive.to_bytes(2, "big") + (put_properties(properties or {}) if version == 5 else b"")
        body += put_binary(client.encode()) + will
        _, kind, payload, _ = await self.send(link, close_packet(0x10, body))
        return kind, payload


def will(delay_s: int = 0) -> bytes:
    properties: Properties = {"will_delay": delay_s} if delay_s else {}
    return put_properties(properties) + put_binary(b"w") + put_binary(b"gone")


def connack(payload: bytes) -> tuple[int, int, Properties]:
    """(session present, reason, properties) of a version-5 CONNACK."""
    _, reader = open_packet(payload)
    return reader.u8(), reader.u8(), read_properties(reader, "connack")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def test_accepted() -> None:
    """CONNACK says what the server bounds; an empty client identifier gets one [MQTT-3.1.3-6, -7]."""
    async def test() -> None:
        world = World(Limits(server_keepalive_max_s=60))
        kind, payload = await world.connect(1, "", keep_alive=120, properties={"topic_alias_maximum": 500})
        present, reason, properties = connack(payload)
        assert (kind, present, reason) == (ATTACH, 0, 0)
        assert properties["server_keep_alive"] == 60
        assert properties["receive_maximum"] == 1024
        assert str(properties["assigned_client_id"]).startswith("auto-")
        how = world.fakes.attached[0]
        assert (how["keep_alive_ms"], how["alias_out_max"], how["persistent"]) == (90_000, 64, False)
    run(test())


@pytest.mark.parametrize(("version", "client", "clean", "accepted"), [
    (5, "", False, True), (4, "", True, True), (4, "", False, False), (3, "", True, False), (3, "x", False, True)])
def test_empty_client_identifier(version: int, client: str, clean: bool, accepted: bool) -> None:
    """[MQTT-3.1.3-7, -8] of 3.1.1."""
    async def test() -> None:
        kind, payload = await World().connect(1, client, version, clean)
        assert (kind == ATTACH) is accepted
        if not accepted:
            assert payload[1:] == bytes.fromhex("20020002")
    run(test())


def test_refusals() -> None:
    """Each in the words of its version; a stranger's protocol gets none."""
    async def test() -> None:
        world = World()
        newer = await world.send(1, bytes.fromhex("100d00044d5154540902003c000161"))
        assert newer[2][1:] == bytes.fromhex("20020001")
        assert (await world.send(1, bytes.fromhex("100d00044d5154580402003c000161")))[2][1:] == b""
        assert (await world.send(1, bytes.fromhex("100d00044d5154540403003c000161")))[2][1:] == b""
        _, payload = await world.connect(1, properties={"authentication_method": "x"})
        assert connack(payload[1:])[1] == Reason.BAD_METHOD
        assert {kind for _, kind, _, _ in world.fakes.answers} == {REFUSE}
    run(test())


def test_credentials() -> None:
    """The authenticator's verdict is the CONNACK's; a link that went away meanwhile leaves nothing behind."""
    class Slow:
        def __init__(self) -> None:
            self.gate = asyncio.Event()

        async def connect(self, credentials: Credentials) -> Reason:
            await self.gate.wait()
            return Reason.SUCCESS if credentials.client_id == "good" else Reason.BAD_CREDENTIALS

    async def test() -> None:
        slow = Slow()
        world = World(authenticator=slow)
        gone = asyncio.create_task(world.connect(7, "good"))
        await asyncio.sleep(0)
        await world.frame(7, CLOSED, b"")
        slow.gate.set()
        with pytest.raises(IndexError):
            await gone
        assert world.service.counters()["connections"] == 0
        assert (await world.connect(1, "bad", 4))[1][1:] == bytes.fromhex("20020004")
        assert (await world.connect(2, "good", 4))[0] == ATTACH
    run(test())


def test_session_present() -> None:
    """[MQTT-3.1.2-4 to -6, MQTT-3.2.2-2]"""
    async def test() -> None:
        world = World()
        await world.connect(1, clean=False, properties={"session_expiry": 100})
        await world.frame(1, CLOSED, b"")
        assert connack((await world.connect(2, clean=False, properties={"session_expiry": 100}))[1])[0] == 1
        assert world.fakes.opened == 1
        await world.frame(2, CLOSED, b"")
        assert connack((await world.connect(3, clean=True))[1])[0] == 0
        assert world.fakes.ended == [(1001, Reason.TAKEN_OVER)]
    run(test())


def test_take_over() -> None:
    """[MQTT-3.1.4-3] a second connection gets the session; the news of the first one's end does not touch it."""
    async def test() -> None:
        world = World()
        await world.connect(1, clean=False, properties={"session_expiry": 100}, will=will())
        await world.connect(2, clean=False, properties={"session_expiry": 100})
        await world.frame(1, CLOSED, b"")
        assert [how["order"] for how in world.fakes.attached] == [1, 2]
        assert world.service.counters() == {"sessions": 1, "connections": 1}
        assert len(world.fakes.published) == 1              # the will of the first connection, without a delay
        assert world.fakes.ended == []
    run(test())


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_request_of_a_session_that_has_ended(lasting: bool, begun: bool) -> None:
    """A SUBSCRIBE that was on its way when somebody else took the session over, or had `begun` to be served then, names
    no session to the data plane any more."""
    async def test() -> None:
        world = World(disk=FullDisk())
        request = close_packet(0x82, b"\0\x0a\0" + put_binary(b"a") + b"\0")
        await world.connect(1, clean=False, properties={"session_expiry": 100 * lasting})
        rest = world.service.on_frame(1, PACKET, request) if begun else None
        del world.fakes.calls[:]
        await world.connect(2)
        assert world.fakes.ended == [(1001, Reason.TAKEN_OVER)]
        if not begun:
            rest = world.service.on_frame(1, PACKET, request)
        if rest is not None:
            await rest
        assert [call for call in world.fakes.calls if call[1] != 1002] == []
        assert world.fakes.kept == set()
    run(test())


def test_home() -> None:
    """A session stays on its reactor: a connection that was accepted elsewhere moves there."""
    async def test() -> None:
        world = World()
        await world.connect(1, clean=False, version=4)
        await world.frame(1, CLOSED, b"")
        await world.connect(3 << 56 | 2, clean=False, version=4)
        assert world.fakes.calls == [("move", 3 << 56 | 2, 0)]
        await world.frame(3 << 56 | 2, MOVED, (77).to_bytes(8, "little"))
        answer = await world.send(77, close_packet(0x82, b"\0\x0a" + put_binary(b"a") + b"\0"))
        assert answer[:2] == (77, REPLY)
    run(test())


def test_end_waits_for_a_link_on_its_way() -> None:
    """The data plane may not hear of the end before the ATTACH that is still travelling."""
    async def test() -> None:
        world = World()
        await world.connect(1, clean=False, version=4)
        await world.frame(1, CLOSED, b"")
        await world.connect(3 << 56 | 2, clean=False, version=4)
        await world.connect(4, clean=True, version=4)
        assert world.fakes.ended == []
        await world.frame(3 << 56 | 2, MOVED, (77).to_bytes(8, "little"))
        assert world.fakes.ended == [(1001, Reason.TAKEN_OVER)]
        await world.frame(77, CLOSED, b"")
        assert world.service.counters() == {"sessions": 1, "connections": 1}
    run(test())


def test_session_expiry() -> None:
    """[MQTT-3.1.2-23] a session ends with its connection at 0, after its interval else, never at 0xFFFFFFFF."""
    async def test() -> None:
        world = World()
        await world.connect(1, "a")
        await world.frame(1, CLOSED, b"")
        assert world.fakes.ended == [(1001, Reason.SUCCESS)]
        await world.connect(2, "b", properties={"session_expiry": 1})
        await world.connect(3, "c", 4, clean=False)
        await world.send(2, bytes.fromhex("e00700051100000000"), GOODBYE)
        await world.frame(2, CLOSED, b"")
        await world.frame(3, CLOSED, b"")
        assert world.fakes.ended[1:] == [(1002, Reason.SUCCESS)]
        assert world.service.counters()["sessions"] == 1
    run(test())


def test_wills() -> None:
    """[MQTT-3.1.2-8, -10] a lost connection publishes, DISCONNECT 0x00 does not, 0x04 does."""
    async def test() -> None:
        world = World()
        for link, bye, count in ((1, None, 1), (2, "e000", 1), (3, "e00104", 2)):
            await world.connect(link, "c", will=will(30))      # the session ends at once, and the delay with it
            if bye:
                await world.send(link, bytes.fromhex(bye), GOODBYE)
            await world.frame(link, CLOSED, b"")
            assert len(world.fakes.published) == count
    run(test())


def test_wills_wait_for_room() -> None:
    """Once each, also when the session ends, or there is no room again."""
    async def test() -> None:
        world = World()
        world.fakes.no_room = True
        for link in (1, 2):
            await world.connect(link, f"c{link}", will=will(), properties={"session_expiry": 100 * link - 100})
            await world.frame(link, CLOSED, b"")
        world.fakes.told()
        assert world.fakes.published == []
        world.fakes.no_room = False
        for _ in range(2):
            world.fakes.told()
            assert len(world.fakes.published) == 2
    run(test())


def test_will_delay() -> None:
    """[MQTT-3.1.3-9] nothing when the client comes back in time; at once when its session is thrown away."""
    async def test() -> None:
        world = World()
        long: Properties = {"session_expiry": 100}
        await world.connect(1, will=will(50), properties=long)
        await world.frame(1, CLOSED, b"")
        await world.connect(2, clean=False, will=will(50), properties=long)
        assert world.fakes.published == []
        await world.frame(2, CLOSED, b"")
        await world.connect(3, clean=True)
        assert len(world.fakes.published) == 1
    run(test())


def test_subscribe() -> None:
    """SUBACK per filter, denials included; retained messages by retain handling, never for a shared filter."""
    async def test() -> None:
        world = World(Limits(deny_subscribe=("no",), max_subscriptions_per_session=3))
        await world.connect(1)
        filters = [("a", 0x01), ("no", 0), ("b", 0x12), ("c", 0x20), ("d", 0), ("$share/g/a", 0)]
        body = b"\0\x0a\0" + b"".join(put_binary(text.encode()) + bytes((options,)) for text, options in filters)
        _, kind, payload, _ = await world.send(1, close_packet(0x82, body))
        assert kind == REPLY
        assert payload == close_packet(0x90, b"\0\x0a\0" + bytes((1, 0x80, 2, 0, 0x97, 0x97)))
        assert [call[0:3:2] for call in world.fakes.calls] == [
            ("subscribe", "a"), ("subscribe", "b"), ("subscribe", "c"), ("replay", "a"), ("replay", "b")]
        world.fakes.calls.clear()
        await world.send(1, close_packet(0x82, b"\0\x0b\0" + put_binary(b"b") + b"\x12"))
        assert world.fakes.calls == []
    run(test())


@pytest.mark.parametrize(("version", "code"), [(5, Reason.QUOTA), (4, 0x80)])
@pytest.mark.parametrize("how", ["full", "failed"])
def test_no_suback_for_what_a_restart_would_forget(how: str, version: int, code: int) -> None:
    """The disk is full or has failed: filters of a session that is to survive are refused, and it is as before."""
    async def test() -> None:
        disk = FullDisk()
        world = World(Limits(deny_subscribe=("no",)), disk=disk)
        await world.connect(1, "lasting", version, clean=False, properties={"session_expiry": 100})
        none = b"\0" if version == 5 else b""
        await world.send(1, close_packet(0x82, b"\0\1" + none + put_binary(b"a") + b"\1"))
        setattr(disk, how, True)
        filters = b"".join(put_binary(text) + b"\2" for text in (b"a", b"b", b"no"))
        answer = await world.send(1, close_packet(0x82, b"\0\2" + none + filters))
        assert answer[1:3] == (REPLY, close_packet(0x90, b"\0\2" + none + bytes(
            (code, code, 0x80))))
        assert world.fakes.filters == {1001: {"a"}}
        _, kind, payload, _ = await world.send(1, close_packet(0xA2, b"\0\3" + none + put_binary(b"a")))
        assert (kind, payload[0]) == (REFUSE, 29)
        assert payload[1:2] + payload[3:4] == (b"\xe0\x97" if version == 5 else b"")
    run(test())


def test_unsubscribe() -> None:
    """[MQTT-3.10.4-1, 3.11.3] one code per filter."""
    async def test() -> None:
        world = World()
        await world.connect(1)
        await world.send(1, close_packet(0x82, b"\0\x0a\0" + put_binary(b"a") + b"\0"))
        answer = await world.send(1, close_packet(0xA2, b"\0\x0b\0" + put_binary(b"a") + put_binary(b"b")))
        assert answer[2] == bytes.fromhex("b005000b000011")
        assert world.fakes.calls[-1] == ("unsubscribe", 1001, "a")
    run(test())


def test_bad_subscribe() -> None:
    """DISCONNECT with the reason and its text for version 5, nothing for others; then closed."""
    async def test() -> None:
        world = World()
        await world.connect(1)
        _, kind, payload, _ = await world.send(1, bytes.fromhex("8203000a00"))
        assert (kind, payload[0]) == (REFUSE, 18)
        assert payload[1:2] + payload[3:4] == b"\xe0\x82"
        await world.connect(2, "d", 4)
        assert (await world.send(2, bytes.fromhex("8202000a")))[2] == bytes((18,))
    run(test())


def test_max_sessions() -> None:
    async def test() -> None:
        world = World(Limits(max_sessions=1))
        await world.connect(1, "a")
        assert connack((await world.connect(2, "b"))[1][1:])[1] == Reason.QUOTA
        assert (await world.connect(3, "b", 4))[1][1:] == bytes.fromhex("20020003")
    run(test())


def test_administrator() -> None:
    async def test() -> None:
        world = World()
        await world.connect(1, "a", properties={"session_expiry": 10})
        assert world.service.disconnect(["a", "nobody"]) == 1
        assert world.fakes.ended == [(1001, Reason.ADMINISTRATIVE)]
    run(test())


def test_a_subscription_counts_before_the_next_frame_is_looked_at() -> None:
    """Else a PUBLISH that another client sends behind it could pass it by."""
    async def test() -> None:
        world = World()
        await world.connect(1)
        subscribe = close_packet(0x82, b"\0\1\0" + put_binary(b"a/b") + b"\1")
        assert world.service.on_frame(1, PACKET, subscribe) is None
        assert ("subscribe", 1001, "a/b", 1) in world.fakes.calls
        assert world.fakes.answers[-1][1] == REPLY
    run(test())


def test_a_client_that_is_gone_before_its_connect_was_served_leaves_nothing() -> None:
    async def test() -> None:
        world = World()
        body = put_binary(b"MQTT") + bytes((4, 2)) + b"\0\0" + put_binary(b"c")
        connecting = world.service.on_frame(1, PACKET, close_packet(0x10, body))
        assert connecting is not None
        assert world.service.on_frame(1, CLOSED, b"") is None
        await connecting
        counters = world.service.counters()
        assert counters["connections"] == counters["sessions"] == 0
        assert not world.fakes.answers
    run(test())
