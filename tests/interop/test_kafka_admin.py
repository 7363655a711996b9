"""Topics, configurations and offsets by time, with real admin clients and kcat."""
import shutil
import subprocess
import time
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic
from kafka.admin import ConfigResource as KafkaConfigResource
from kafka.admin import ConfigResourceType, KafkaAdminClient
from kafka.admin import NewTopic as KafkaNewTopic

from tests.conftest import Broker, StartBroker

TOPIC_SOURCE = 1        # DYNAMIC_TOPIC_CONFIG
BASE_MS = 1_700_000_000_000


def fresh() -> str:
    return f"admin-{uuid4().hex[:8]}"


def kafka_admin(broker: Broker) -> AdminClient:
    return AdminClient({"bootstrap.servers": broker.bootstrap})


def test_the_cluster_is_one_node(broker: Broker) -> None:
    metadata = kafka_admin(broker).list_topics(timeout=10)
    assert [(node, each.host, each.port) for node, each in metadata.brokers.items()] == [
        (metadata.controller_id, *broker.kafka)]
    assert metadata.cluster_id


def test_create_describe_delete(broker: Broker) -> None:
    admin, name = kafka_admin(broker), fresh()
    wanted = NewTopic(name, 3, 1, config={"cleanup.policy": "compact", "max.message.bytes": "2000"})
    admin.create_topics([wanted])[name].result(10)
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3
    with pytest.raises(KafkaException) as again:
        admin.create_topics([wanted])[name].result(10)
    assert again.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)
    configs = admin.describe_configs([resource])[resource].result(10)
    assert (configs["cleanup.policy"].value, configs["cleanup.policy"].is_default) == ("compact", False)
    assert configs["retention.ms"].is_default
    admin.delete_topics([name])[name].result(10)
    assert name not in admin.list_topics(timeout=10).topics


def test_a_topic_s_largest_message(broker: Broker) -> None:
    name = fresh()
    admin = kafka_admin(broker)
    admin.create_topics([NewTopic(name, 1, 1, config={"max.message.bytes": "2000"})])[name].result(10)
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    errors: list[int | None] = []
    for size in (100, 5000):
        producer.produce(name, bytes(size), on_delivery=lambda error, _: errors.append(error and error.code()))
        producer.flush(10)
    assert errors == [None, KafkaError.MSG_SIZE_TOO_LARGE]


def test_configurations_change_at_run_time(broker: Broker) -> None:
    admin, name = kafka_admin(broker), fresh()
    admin.create_topics([NewTopic(name, 1, 1, config={"retention.ms": "1000"})])[name].result(10)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name)

    def configs() -> dict[str, tuple[str, int]]:
        found = admin.describe_configs([resource])[resource].result(10)
        return {key: (each.value, each.source) for key, each in found.items() if each.source == TOPIC_SOURCE}

    def change(*entries: tuple[str, AlterConfigOpType, str | None]) -> None:
        wanted = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[
            ConfigEntry(key, value, incremental_operation=operation) for key, operation, value in entries])
        admin.incremental_alter_configs([wanted])[wanted].result(10)

    change(("cleanup.policy", AlterConfigOpType.APPEND, "compact"), ("segment.ms", AlterConfigOpType.SET, "60000"),
           ("retention.ms", AlterConfigOpType.DELETE, None))
    assert configs() == {"cleanup.policy": ("delete,compact", TOPIC_SOURCE), "segment.ms": ("60000", TOPIC_SOURCE)}
    with pytest.raises(KafkaException) as wrong:
        change(("segment.ms", AlterConfigOpType.SET, "never"))
    assert wrong.value.args[0].code() == KafkaError.INVALID_CONFIG
    change(("max.message.bytes", AlterConfigOpType.SET, "2000"), ("cleanup.policy", AlterConfigOpType.DELETE, None))
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    errors: list[int | None] = []
    producer.produce(name, bytes(5000), on_delivery=lambda error, _: errors.append(error and error.code()))
    producer.flush(10)
    assert errors == [KafkaError.MSG_SIZE_TOO_LARGE]


def test_a_whole_configuration_is_replaced(broker: Broker) -> None:
    admin, name = kafka_admin(broker), fresh()
    admin.create_topics([NewTopic(name, 1, 1, config={"retention.ms": "1000"})])[name].result(10)
    wanted = ConfigResource(ConfigResource.Type.TOPIC, name, set_config={"segment.ms": "60000"})
    admin.alter_configs([wanted])[wanted].result(10)
    found = admin.describe_configs([wanted])[wanted].result(10)
    assert (found["segment.ms"].value, found["retention.ms"].value) == ("60000", "604800000")


def test_kafka_python_changes_a_configuration(broker: Broker) -> None:
    name = fresh()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_topics([KafkaNewTopic(name=name, num_partitions=1, replication_factor=1)])
        admin.alter_configs([KafkaConfigResource(ConfigResourceType.TOPIC, name, {"segment.ms": "60000"})])
    finally:
        admin.close()
    resource, reader = ConfigResource(ConfigResource.Type.TOPIC, name), kafka_admin(broker)
    assert reader.describe_configs([resource])[resource].result(10)["segment.ms"].value == "60000"


def test_kafka_python_s_admin(broker: Broker) -> None:
    name = fresh()
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        admin.create_topics([KafkaNewTopic(name=name, num_partitions=2, replication_factor=1)])
        assert name in admin.list_topics()
        admin.delete_topics([name])
        assert name not in admin.list_topics()
    finally:
        admin.close()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_offset_of_a_time_inside_a_batch(broker: Broker, codec: str) -> None:
    name = fresh()
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 200, "compression.type": codec})
    for number in range(50):
        producer.produce(name, b"same value " * 5, partition=0, timestamp=BASE_MS + number * 10)
    assert producer.flush(10) == 0
    reader = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "unused"})
    try:
        asked = [(0, 0), (BASE_MS, 0), (BASE_MS + 121, 13), (BASE_MS + 490, 49), (BASE_MS + 491, -1)]
        for time_ms, offset in asked:
            found = reader.offsets_for_times([TopicPartition(name, 0, time_ms)], timeout=10)[0]
            assert found.error is None
            assert found.offset == offset, time_ms
        assert reader.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (0, 50)
    finally:
        reader.close()


def test_a_transactional_producer_is_told_at_once(broker: Broker) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": "t"})
    begin = time.monotonic()
    with pytest.raises(KafkaException) as refused:
        producer.init_transactions(30)
    assert refused.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    assert time.monotonic() - begin < 15


def test_kcat(broker: Broker) -> None:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    name = fresh()
    command = ["kcat", "-b", broker.bootstrap, "-t", name]
    subprocess.run([*command, "-P", "-K:", "-H", "h=1"], input=b"k1:v1\nk2:v2\n", check=True, timeout=30)
    read = subprocess.run([*command, "-C", "-e", "-q", "-o", "beginning", "-f", "%k=%s %h\n"], capture_output=True,
                          check=True, timeout=30)
    assert read.stdout == b"k1=v1 h=1\nk2=v2 h=1\n"
    listed = subprocess.run(["kcat", "-b", broker.bootstrap, "-L"], capture_output=True, check=True, timeout=30)
    assert f'topic "{name}"'.encode() in listed.stdout


def filled(broker: Broker, name: str, count: int) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0})
    for i in range(count):
        producer.produce(name, b"%d" % i, timestamp=BASE_MS + i)
    assert producer.flush(10) == 0


def test_delete_records(broker: Broker) -> None:
    """KIP-107: the low watermark moves, and consumers start there."""
    admin, name = kafka_admin(broker), fresh()
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(10)
    filled(broker, name, 20)
    for offset, low in ((7, 7), (3, 7), (20, 20)):
        asked = TopicPartition(name, 0, offset)
        assert admin.delete_records([asked])[asked].result(10).low_watermark == low
    beyond = TopicPartition(name, 0, 21)
    with pytest.raises(KafkaException) as refused:
        admin.delete_records([beyond])[beyond].result(10)
    assert refused.value.args[0].code() == KafkaError.OFFSET_OUT_OF_RANGE
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": name})
    assert consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (20, 20)
    consumer.close()


def test_retention_begins_when_it_is_configured(start_broker: StartBroker) -> None:
    broker = start_broker(storage__retention_check_interval_ms="1000")
    admin, name = kafka_admin(broker), fresh()
    admin.create_topics([NewTopic(name, 1, 1, config={"retention.ms": "-1"})])[name].result(10)
    filled(broker, name, 20)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": name})
    assert consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (0, 20)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[
        ConfigEntry("retention.ms", "60000", incremental_operation=AlterConfigOpType.SET)])
    admin.incremental_alter_configs([resource])[resource].result(10)
    deadline = time.monotonic() + 20
    while consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=10) != (20, 20):
        assert time.monotonic() < deadline, "nothing was deleted"
        time.sleep(0.1)
    consumer.close()
