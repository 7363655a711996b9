"""Consumer groups with real clients: assignors, static members, offsets over a restart of the broker."""
import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer

from tests.conftest import Broker, StartBroker

PARTITIONS, RECORDS = 4, 200
DEADLINE_S = 40


def filled_topic(broker: Broker) -> str:
    """A topic with RECORDS records, spread over PARTITIONS partitions."""
    name = f"groups-{uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(10)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 5})
    for number in range(RECORDS):
        producer.produce(name, b"%d" % number, partition=number % PARTITIONS)
    assert producer.flush(20) == 0
    return name


def consumer(broker: Broker, group: str, **more: object) -> Consumer:
    """librdkafka's consumer, from the beginning."""
    return Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, "session.timeout.ms": 6000, "heartbeat.interval.ms": 300,
                     "topic.metadata.refresh.interval.ms": 500,
                     **{key.replace("_", "."): value for key, value in more.items()}})


def poll_until(done: Callable[[], bool], *consumers: Consumer) -> list[bytes]:
    """Poll all of them until `done`; the values that came."""
    values, deadline = [], time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline, "the group did not get there in time"
        for each in consumers:
            message = each.poll(0.05)
            if message is not None and message.error() is None:
                values.append(message.value())
    return values


def read_all(each: Consumer, count: int) -> list[bytes]:
    """`count` records."""
    values: list[bytes] = []
    deadline = time.monotonic() + DEADLINE_S
    while len(values) < count:
        assert time.monotonic() < deadline, f"{len(values)} of {count} records came"
        message = each.poll(0.5)
        if message is not None and message.error() is None:
            values.append(message.value())
    return values


@pytest.mark.parametrize("assignor", ["range", "roundrobin", "cooperative-sticky"])
def test_members_share_partitions_and_take_over(broker: Broker, assignor: str) -> None:
    topic = filled_topic(broker)
    with ExitStack() as stack:
        first, second = (consumer(broker, f"g-{topic}", partition_assignment_strategy=assignor) for _ in range(2))
        stack.callback(first.close)
        first.subscribe([topic])
        poll_until(lambda: len(first.assignment()) == PARTITIONS, first)
        second.subscribe([topic])
        half = PARTITIONS // 2
        poll_until(lambda: len(first.assignment()) == half and len(second.assignment()) == half, first, second)
        assert {each.partition for one in (first, second) for each in one.assignment()} == set(range(PARTITIONS))
        second.close()
        poll_until(lambda: len(first.assignment()) == PARTITIONS, first)


def test_a_static_member_comes_back_to_its_partitions(broker: Broker) -> None:
    topic = filled_topic(broker)
    with ExitStack() as stack:
        stays, goes = (consumer(broker, f"g-{topic}", group_instance_id=name) for name in ("stays", "goes"))
        stack.callback(stays.close)
        for each in (stays, goes):
            each.subscribe([topic])
        half = PARTITIONS // 2
        poll_until(lambda: len(stays.assignment()) == half and len(goes.assignment()) == half, stays, goes)
        kept, had = stays.assignment(), goes.assignment()
        goes.close()        # a static member that closes does not leave the group
        again = consumer(broker, f"g-{topic}", group_instance_id="goes")
        stack.callback(again.close)
        again.subscribe([topic])
        poll_until(lambda: len(again.assignment()) == half, stays, again)
        assert sorted(again.assignment()) == sorted(had)
        assert sorted(stays.assignment()) == sorted(kept)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_offsets_and_their_metadata_survive_the_broker(start_broker: StartBroker, how: signal.Signals) -> None:
    broker = start_broker()
    topic = filled_topic(broker)
    reader = consumer(broker, "durable")
    reader.subscribe([topic])
    read_all(reader, RECORDS)
    reader.commit(offsets=[TopicPartition(topic, 0, 7, metadata="seven")], asynchronous=False)
    reader.close()
    broker.stop(how)
    broker = start_broker(data_dir=broker.data_dir)
    reader = consumer(broker, "durable")
    committed = reader.committed([TopicPartition(topic, 0), TopicPartition(topic, 1)], timeout=10)
    assert [(each.offset, each.metadata) for each in committed] == [(7, "seven"), (-1001, None)]
    reader.assign([TopicPartition(topic, 0)])
    assert read_all(reader, 1) == [b"%d" % (7 * PARTITIONS)]
    reader.close()


def test_a_group_of_different_clients(broker: Broker) -> None:
    """kafka-python and librdkafka in one group, by the assignor that both know."""
    topic = filled_topic(broker)
    theirs = KafkaConsumer(topic, bootstrap_servers=broker.bootstrap, group_id=f"g-{topic}",
                           auto_offset_reset="earliest", session_timeout_ms=6000, heartbeat_interval_ms=300)
    ours = consumer(broker, f"g-{topic}", partition_assignment_strategy="range")
    try:
        ours.subscribe([topic])
        deadline = time.monotonic() + DEADLINE_S
        while not (len(ours.assignment()) == len(theirs.assignment()) == PARTITIONS // 2):
            assert time.monotonic() < deadline
            ours.poll(0.05)
            theirs.poll(50)
        mine = {each.partition for each in ours.assignment()}
        assert mine.isdisjoint({each.partition for each in theirs.assignment()})
    finally:
        ours.close()
        theirs.close()


def test_aiokafka_commits_and_goes_on(broker: Broker) -> None:
    topic = filled_topic(broker)

    async def read(count: int) -> set[bytes]:
        async with AIOKafkaConsumer(topic, bootstrap_servers=broker.bootstrap, group_id=f"g-{topic}",
                                    auto_offset_reset="earliest", enable_auto_commit=False) as reader:
            found = {(await asyncio.wait_for(reader.getone(), DEADLINE_S)).value for _ in range(count)}
            await reader.commit()
            return found

    first = asyncio.run(read(RECORDS // 2))
    second = asyncio.run(read(RECORDS // 2))
    assert first | second == {b"%d" % number for number in range(RECORDS)}
