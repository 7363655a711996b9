"""Persistent MQTT sessions over SIGKILL of the broker: what waits, what is in flight, what is open."""
from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import session_kill
from tests.crash.broker import Broker
from tests.crash.mqtt_client import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Client


class Killed(Broker):
    """A broker that is killed and started again."""

    def again(self) -> None:
        self.stop(signal.SIGKILL)
        self.start()

    def client(self, name: str, **how: object) -> Client:
        return Client(self.mqtt, name, **how)  # type: ignore[arg-type]


@pytest.fixture(params=["process", "disk"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Killed]:
    broker = Killed(tmp_path / "data", {"storage.durability": request.param})
    broker.start()
    yield broker
    assert broker.stop(signal.SIGTERM) == 0


def test_waiting_messages_and_subscriptions(broker: Killed) -> None:
    """[MQTT-3.1.2-4, MQTT-4.1.0-1]: the queue of an absent client, in order, twice killed."""
    subscriber = broker.client("s")
    assert not subscriber.present
    subscriber.subscribe("a/#", 2)
    subscriber.leave()
    publisher = broker.client("p", clean=True)
    publisher.store("b", b"for nobody")
    for i in range(20):
        publisher.store(f"a/{i % 3}", b"%d" % i, qos=1 + i % 2, id=i + 1)
    broker.again()
    broker.again()
    subscriber = broker.client("s")
    assert subscriber.present
    found = [subscriber.message() for _ in range(20)]
    for topic in range(3):
        assert [int(one.payload) for one in found if one.topic == f"a/{topic}"] == list(range(topic, 20, 3))
    assert not any(one.dup for one in found)
    for one in found:
        subscriber.ack(PUBACK if one.qos == 1 else PUBREC, one.id)
    for _ in range(10):
        subscriber.ack(PUBCOMP, subscriber.expect(PUBREL))
    publisher = broker.client("p", clean=True)
    publisher.store("a/new", b"after")
    assert subscriber.message().payload == b"after"
    broker.again()
    subscriber = broker.client("s")
    assert (subscriber.present, subscriber.message().payload) == (True, b"after")
    assert subscriber.silent()


def test_window_at_each_state(broker: Killed) -> None:
    """[MQTT-4.4.0-1]: the same packet identifiers, DUP, PUBREL where PUBREC had come; what was acknowledged is over."""
    subscriber = broker.client("s")
    subscriber.subscribe("t", 2)
    publisher = broker.client("p", clean=True)
    for i, qos in enumerate([1, 1, 2, 2, 2, 1]):
        publisher.store("t", b"%d" % i, qos, id=i + 1)
    sent = [subscriber.message() for _ in range(6)]
    assert [one.payload for one in sent] == [b"0", b"1", b"2", b"3", b"4", b"5"]
    subscriber.ack(PUBACK, sent[1].id)                          # 1 is done, behind an open one
    for i in (3, 4):
        subscriber.ack(PUBREC, sent[i].id)
        assert subscriber.expect(PUBREL) == sent[i].id
    subscriber.ack(PUBCOMP, sent[4].id)                         # 4 is done, 3 is released
    assert subscriber.silent()
    for _ in range(2):
        broker.again()
        subscriber = broker.client("s")
        assert subscriber.present
        first = [subscriber.message() for _ in range(2)]
        assert [(one.payload, one.id, one.dup) for one in first] == [
            (b"0", sent[0].id, True), (b"2", sent[2].id, True)]
        assert subscriber.expect(PUBREL) == sent[3].id
        last = subscriber.message()
        assert (last.payload, last.id, last.dup) == (b"5", sent[5].id, True)
        assert subscriber.silent()
    for id in (sent[0].id, sent[5].id):
        subscriber.ack(PUBACK, id)
    subscriber.ack(PUBCOMP, sent[3].id)
    subscriber.ack(PUBREC, sent[2].id)
    assert subscriber.expect(PUBREL) == sent[2].id
    subscriber.ack(PUBCOMP, sent[2].id)
    publisher = broker.client("p", clean=True)
    publisher.store("t", b"6", 2)
    fresh = subscriber.message()
    assert (fresh.payload, fresh.dup) == (b"6", False)
    assert fresh.id == sent[5].id + 1


def test_publisher_resends_qos_2(broker: Killed) -> None:
    """[MQTT-4.3.3-10]: an identifier that is open is not stored twice; released, it is free."""
    subscriber = broker.client("s")
    subscriber.subscribe("t", 2)
    subscriber.leave()
    publisher = broker.client("p")
    for id in (7, 8, 300):
        publisher.publish("t", b"%d" % id, 2, id)
        assert publisher.expect(PUBREC) == id
    publisher.ack(PUBREL, 8)
    assert publisher.expect(PUBCOMP) == 8
    broker.again()
    publisher = broker.client("p")
    assert publisher.present
    for id in (7, 300):
        publisher.publish("t", b"%d" % id, 2, id, dup=True)
        assert publisher.expect(PUBREC) == id
    publisher.store("t", b"8 again", 2, 8)
    publisher.ack(PUBREL, 300)
    assert publisher.expect(PUBCOMP) == 300
    broker.again()
    publisher = broker.client("p")
    publisher.ack(PUBREL, 7)
    assert publisher.expect(PUBCOMP) == 7
    publisher.store("t", b"300 again", 2, 300)
    subscriber = broker.client("s")
    assert [subscriber.message().payload for _ in range(5)] == [b"7", b"8", b"300", b"8 again", b"300 again"]
    assert subscriber.silent()


def test_options_and_ends(broker: Killed) -> None:
    """Version 5: identifiers, no-local and shared subscriptions come back, ended sessions do not."""
    one = broker.client("one", version=5)
    one.subscribe("x", 1, options=4, identifier=9)
    one.subscribe("$share/g/y", 1)
    gone = broker.client("gone", version=5)
    gone.subscribe("x", 1)
    gone.drop()
    broker.client("gone", version=5, clean=True, expiry_s=0).leave()
    unsubscribed = broker.client("unsubscribed", version=5)
    unsubscribed.subscribe("x", 1)
    unsubscribed.send(bytes.fromhex("a2060001000001") + b"x")
    assert unsubscribed.read()[0] == 0xB0
    broker.again()
    one = broker.client("one", version=5)
    assert one.present
    one.store("x", b"own")
    publisher = broker.client("p", version=5, clean=True, expiry_s=0)
    publisher.store("x", b"other")
    publisher.store("y", b"shared")
    got = one.message()
    assert (got.payload, got.properties) == (b"other", bytes((0x0B, 9)))
    got = one.message()
    assert (got.payload, got.properties) == (b"shared", b"")
    assert not broker.client("gone", version=5).present
    left = broker.client("unsubscribed", version=5)
    assert left.present
    assert left.silent()


def test_shared_group_takes_each_message_once(broker: Killed) -> None:
    """What one member has, in flight or waiting or acknowledged, no other gets after a restart."""
    members = [broker.client(f"m{i}", version=5, receive_maximum=3) for i in range(3)]
    for member in members:
        member.subscribe("$share/g/t", 2)
    publisher = broker.client("p", clean=True)
    for i in range(30):
        publisher.store("t", b"%d" % i, 1 + i % 2, id=i + 1)
    counts: dict[bytes, int] = {}
    for member in members:
        for _ in range(3):
            got = member.message()
            counts[got.payload] = 1
            if got.qos == 1:
                member.ack(PUBACK, got.id)
    broker.again()
    again = [broker.client(f"m{i}", version=5) for i in range(3)]
    seen: list[bytes] = []
    for member in again:
        member.send(b"\xc0\0")
        while (read := member.read())[0] != 0xD0:
            assert read[0] >> 4 == PUBLISH
            got = member.decode(*read)
            seen.append(got.payload)
            if not got.dup:
                assert got.payload not in counts
    assert len(seen) == len(set(seen))
    assert {int(one) for one in seen} | {int(one) for one in counts} == set(range(30))


def test_will_after_the_broker_died(broker: Killed) -> None:
    """A persistent session's will goes out when its client was connected as the broker died."""
    watcher = broker.client("w")
    watcher.subscribe("will", 1)
    dying = broker.client("dying", will=b"\0\4will" + b"\0\4gone")
    broker.again()
    watcher = broker.client("w")
    assert watcher.message().payload == b"gone"
    dying.drop()


def test_traffic_over_sigkill() -> None:
    """QoS 1 and 2 into persistent sessions, killed in the middle; small segments, so that what lives is carried."""
    assert session_kill.run(rounds=3, durability="process", seed=20261123) == []
