"""Real MQTT clients against a real broker: paho, aiomqtt, gmqtt, mosquitto_pub and mosquitto_sub."""
from __future__ import annotations

import asyncio
import queue
import shutil
import subprocess
import uuid
from typing import Any

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.conftest import Address, Broker, StartBroker

WAIT_S = 10
VERSIONS = [pytest.param(paho.MQTTv31, id="3.1"), pytest.param(paho.MQTTv311, id="3.1.1"),
            pytest.param(paho.MQTTv5, id="5.0")]


class Client:
    """A paho client that waits for what it asked for."""

    def __init__(self, address: Address, version: int = paho.MQTTv5, client_id: str = "", *, keep: bool = False,
                 will: tuple[str, bytes] | None = None, receive_maximum: int = 0, inflight: int = 20) -> None:
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.done: queue.Queue[Any] = queue.Queue()
        self.present = False
        v5 = version == paho.MQTTv5
        clean = {} if v5 else {"clean_session": not keep}
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id or f"c{uuid.uuid4().hex[:20]}",
                                protocol=version, **clean)
        self.paho.max_inflight_messages_set(inflight)
        self.paho.on_connect = self._connected
        self.paho.on_subscribe = lambda *rest: self.done.put(rest[3])
        self.paho.on_message = lambda _client, _data, message: self.messages.put(message)
        if will:
            self.paho.will_set(will[0], will[1], 1)
        properties = None
        if v5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 100 if keep else 0
            if receive_maximum:
                properties.ReceiveMaximum = receive_maximum
        rest = {"clean_start": not keep, "properties": properties} if v5 else {}
        self.paho.connect(*address, keepalive=60, **rest)
        self.paho.loop_start()
        assert not self.done.get(timeout=WAIT_S).is_failure

    def _connected(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        self.present = flags.session_present
        self.done.put(reason)

    def subscribe(self, topic: str, qos: int = 0, options: SubscribeOptions | None = None) -> None:
        """Returns when it is granted."""
        if options is None:
            self.paho.subscribe(topic, qos)
        else:
            self.paho.subscribe(topic, options=options)
        assert not self.done.get(timeout=WAIT_S)[0].is_failure

    def publish(self, topic: str, payload: bytes, qos: int = 1, **rest: Any) -> None:
        """Returns when it is acknowledged."""
        self.paho.publish(topic, payload, qos, **rest).wait_for_publish(WAIT_S)

    def take(self, n: int) -> list[paho.MQTTMessage]:
        """The next `n` messages."""
        return [self.messages.get(timeout=WAIT_S) for _ in range(n)]

    def nothing(self) -> None:
        """No message is there, nor comes within a moment."""
        with pytest.raises(queue.Empty):
            self.messages.get(timeout=0.3)

    def close(self) -> None:
        """DISCONNECT."""
        self.paho.disconnect()
        self.paho.loop_stop()

    def vanish(self) -> None:
        """Lose the connection without a DISCONNECT."""
        self.paho._sock_close()
        self.paho.loop_stop()


@pytest.fixture
def topic() -> str:
    """A topic of the test's own."""
    return f"t/{uuid.uuid4().hex}"


@pytest.mark.parametrize("version", VERSIONS)
def test_every_qos(broker: Broker, topic: str, version: int) -> None:
    """min(publish QoS, subscription QoS), in order."""
    writer = Client(broker.mqtt, version)
    for granted in range(3):
        reader = Client(broker.mqtt, version)
        reader.subscribe(f"{topic}/{granted}", granted)
        for i in range(30):
            writer.publish(f"{topic}/{granted}", b"%d" % i, i % 3)
        got = reader.take(30)
        for qos in range(granted + 1):          # a client shows a QoS 2 message when its handshake is over
            sent = [b"%d" % i for i in range(30) if min(granted, i % 3) == qos]
            assert [message.payload for message in got if message.qos == qos] == sent
        reader.close()
    writer.close()


def test_pipelined(broker: Broker, topic: str) -> None:
    """Thousands in flight in both directions, through a receive maximum of 20."""
    reader = Client(broker.mqtt, receive_maximum=20)
    reader.subscribe(topic, 2)
    writer = Client(broker.mqtt, paho.MQTTv311, inflight=500)
    sent = [writer.paho.publish(topic, b"%d" % i, 1 + i % 2) for i in range(900)]
    for one in sent:
        one.wait_for_publish(WAIT_S)
    got = reader.take(900)
    for qos in (1, 2):
        assert [int(message.payload) for message in got if message.qos == qos] == list(range(qos - 1, 900, 2))
    writer.close()
    reader.close()


def test_properties(broker: Broker, topic: str) -> None:
    """What a PUBLISH of version 5 carries arrives with it."""
    reader, writer = Client(broker.mqtt), Client(broker.mqtt)
    reader.subscribe(topic, 1)
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("a", "1"), ("a", "2"), ("mqtt.odd", "x")]
    properties.ContentType = "text/plain"
    properties.ResponseTopic = "answer/here"
    properties.CorrelationData = b"\0\xff"
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 100
    writer.publish(topic, b"p", properties=properties)
    got = reader.take(1)[0].properties
    assert got.UserProperty == [("a", "1"), ("a", "2"), ("mqtt.odd", "x")]
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("text/plain", "answer/here", b"\0\xff")
    assert got.PayloadFormatIndicator == 1
    assert got.MessageExpiryInterval <= 100
    writer.close()
    reader.close()


def test_retained(broker: Broker, topic: str) -> None:
    """Replayed with the flag to who comes later, without it to who is there; an empty payload removes it."""
    writer, early = Client(broker.mqtt), Client(broker.mqtt, paho.MQTTv311)
    early.subscribe(f"{topic}/#", 1)
    writer.publish(f"{topic}/a", b"first", retain=True)
    writer.publish(f"{topic}/a", b"last", retain=True)
    writer.publish(f"{topic}/b", b"other", 0, retain=True)
    assert [message.retain for message in early.take(3)] == [False] * 3
    late = Client(broker.mqtt)
    late.subscribe(f"{topic}/+", 1)
    got = sorted(late.take(2), key=lambda message: message.topic)
    assert [(one.payload, one.qos, one.retain) for one in got] == [(b"last", 1, True), (b"other", 0, True)]
    late.nothing()
    writer.publish(f"{topic}/a", b"", retain=True)
    last = Client(broker.mqtt)
    last.subscribe(f"{topic}/a", 1)
    last.nothing()
    for client in (writer, early, late, last):
        client.close()


def test_retained_survives_a_restart(start_broker: StartBroker, topic: str) -> None:
    """What was acknowledged is there after the next start."""
    first = start_broker()
    writer = Client(first.mqtt)
    for i in range(20):
        writer.publish(f"{topic}/{i}", b"%d" % i, retain=True)
    writer.close()
    assert first.stop() == 0
    reader = Client(start_broker(data_dir=first.data_dir).mqtt)
    reader.subscribe(f"{topic}/#", 1)
    assert sorted(int(message.payload) for message in reader.take(20)) == list(range(20))
    reader.close()


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_offline_queue(broker: Broker, topic: str, version: int) -> None:
    """A persistent session gets what came while it was away, QoS 1 and 2, once and in order."""
    name = f"q{uuid.uuid4().hex[:12]}"
    reader = Client(broker.mqtt, version, name, keep=True)
    reader.subscribe(topic, 2)
    reader.close()
    writer = Client(broker.mqtt)
    for i in range(50):
        writer.publish(topic, b"%d" % i, 1 + i % 2)
    again = Client(broker.mqtt, version, name, keep=True)
    assert again.present
    got = again.take(50)
    for qos in (1, 2):
        assert [int(message.payload) for message in got if message.qos == qos] == list(range(qos - 1, 50, 2))
    again.nothing()
    again.close()
    writer.close()


def test_will(broker: Broker, topic: str) -> None:
    """A lost connection publishes it, a DISCONNECT does not."""
    reader = Client(broker.mqtt)
    reader.subscribe(topic, 1)
    Client(broker.mqtt, will=(topic, b"polite")).close()
    Client(broker.mqtt, paho.MQTTv311, will=(topic, b"lost")).vanish()
    assert reader.take(1)[0].payload == b"lost"
    reader.nothing()
    reader.close()


def test_take_over(broker: Broker, topic: str) -> None:
    """The second connection of a client identifier closes the first, and has its subscriptions."""
    name = f"o{uuid.uuid4().hex[:12]}"
    first = Client(broker.mqtt, client_id=name, keep=True)
    gone: queue.Queue[Any] = queue.Queue()
    first.paho.on_disconnect = lambda *rest: gone.put(rest[3])
    first.subscribe(topic, 1)
    first.paho.reconnect_delay_set(60, 60)
    second = Client(broker.mqtt, client_id=name, keep=True)
    assert gone.get(timeout=WAIT_S).value == 0x8E
    second.publish(topic, b"x")
    assert second.take(1)[0].payload == b"x"
    first.paho.loop_stop()
    second.close()


def test_shared_subscription(broker: Broker, topic: str) -> None:
    """Each message goes to one member; what a member did not acknowledge goes to another when it leaves."""
    members = [Client(broker.mqtt) for _ in range(3)]
    for member in members:
        member.subscribe(f"$share/g/{topic}", 1)
    writer = Client(broker.mqtt)
    for i in range(90):
        writer.publish(topic, b"%d" % i)
    got: list[list[int]] = [[], [], []]
    for _ in range(WAIT_S * 10):
        for at, member in enumerate(members):
            while not member.messages.empty():
                got[at].append(int(member.messages.get().payload))
        if sum(map(len, got)) >= 90:
            break
        writer.nothing()
    assert sorted(got[0] + got[1] + got[2]) == list(range(90))
    assert min(map(len, got)) >= 10
    for client in (*members, writer):
        client.close()


def test_subscribe_options(broker: Broker, topic: str) -> None:
    """No-local and retain-as-published."""
    client, other = Client(broker.mqtt), Client(broker.mqtt)
    client.subscribe(topic, options=SubscribeOptions(1, noLocal=True, retainAsPublished=True))
    client.publish(topic, b"own")
    other.publish(topic, b"other", retain=True)
    got = client.take(1)[0]
    assert (got.payload, got.retain) == (b"other", True)
    client.nothing()
    client.close()
    other.close()


def test_large_messages(broker: Broker, topic: str) -> None:
    """Payloads up to the maximum packet size."""
    reader, writer = Client(broker.mqtt), Client(broker.mqtt, paho.MQTTv311)
    reader.subscribe(topic, 1)
    sizes = [1000, 1024, 1025, 65_535, 65_536, 300_000, 1_000_000]
    for size in sizes:
        writer.publish(topic, b"x" * size, size % 2)
    assert [len(message.payload) for message in reader.take(len(sizes))] == sizes
    writer.close()
    reader.close()


def test_aiomqtt(broker: Broker, topic: str) -> None:
    async def both() -> list[bytes]:
        async with aiomqtt.Client(*broker.mqtt) as reader, aiomqtt.Client(*broker.mqtt) as writer:
            await reader.subscribe(f"{topic}/#", qos=2)
            for i in range(20):
                await writer.publish(f"{topic}/{i}", b"%d" % i, qos=i % 3)
            got: list[bytes] = []
            async for message in reader.messages:
                assert isinstance(message.payload, bytes)
                got.append(message.payload)
                if len(got) == 20:
                    break
            return got

    got = asyncio.run(asyncio.wait_for(both(), WAIT_S))
    assert sorted(map(int, got)) == list(range(20))


def test_gmqtt(broker: Broker, topic: str) -> None:
    async def both() -> list[dict[str, Any]]:
        arrived: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        granted = asyncio.Event()
        client = gmqtt.Client(f"g{uuid.uuid4().hex[:12]}")

        def on_message(_client: Any, _topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> int:
            arrived.put_nowait({"payload": payload, "qos": qos, **properties})
            return 0

        client.on_message = on_message
        client.on_subscribe = lambda *_: granted.set()
        await client.connect(*broker.mqtt)
        client.subscribe(topic, qos=1, subscription_identifier=7)
        await granted.wait()
        for i in range(5):
            client.publish(topic, b"%d" % i, qos=i % 3, user_property=("n", str(i)), content_type="t")
        got = [await arrived.get() for _ in range(5)]
        await client.disconnect()
        return got

    got = asyncio.run(asyncio.wait_for(both(), WAIT_S))
    assert [message["payload"] for message in got] == [b"0", b"1", b"2", b"3", b"4"]
    assert all(message["subscription_identifier"] == [7] and message["content_type"] == ["t"] for message in got)


@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto-clients is not installed")
@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_mosquitto(broker: Broker, topic: str, version: str) -> None:
    host, port = broker.mqtt
    where = ["-h", host, "-p", str(port), "-V", version, "-t", topic]
    reader = ["mosquitto_sub", *where, "-q", "2", "-i", f"m{uuid.uuid4().hex[:12]}", "-c"]
    if version == "mqttv5":
        reader += ["-x", "100"]
    subprocess.run([*reader, "-E"], check=True, timeout=WAIT_S)         # subscribe and leave; the session stays
    for qos in "012":
        subprocess.run(["mosquitto_pub", *where, "-q", qos, "-m", f"m{qos}"], check=True, timeout=WAIT_S)
    got = subprocess.run([*reader, "-C", "2", "-W", "5"], check=True, timeout=WAIT_S, capture_output=True, text=True)
    assert sorted(got.stdout.split()) == ["m1", "m2"]
