"""Kafka's codecs and the group coordinator, in Python."""
from typing import Any

from robustmq._fastpath.protocols.kafka.messages import HeartbeatRequest, MetadataResponse, OffsetCommitRequest
from robustmq._fastpath.protocols.kafka.messages.metadata import MetadataResponsePartition, MetadataResponseTopic
from robustmq._fastpath.protocols.kafka.messages.offset_commit import (
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
)
from robustmq._fastpath.protocols.kafka.primitives import Reader
from tests.unit.groups.world import Client, World

METADATA = MetadataResponse(topics=[
    MetadataResponseTopic(name=f"topic-{number}", partitions=[
        MetadataResponsePartition(partition_index=0, replica_nodes=[0], isr_nodes=[0])]) for number in range(100)])
COMMIT = OffsetCommitRequest("group", 1, "member", topics=[
    OffsetCommitRequestTopic("topic", partitions=[
        OffsetCommitRequestPartition(number, 1000, 0, "") for number in range(100)])])


def encode(message: Any, version: int) -> bytes:
    out = bytearray()
    message.encode(out, version)
    return bytes(out)


def test_encode_metadata_of_100_topics(benchmark: Any) -> None:
    benchmark(encode, METADATA, 13)


def test_decode_metadata_of_100_topics(benchmark: Any) -> None:
    data = encode(METADATA, 13)
    benchmark(lambda: MetadataResponse.decode(Reader(data), 13))


def test_decode_a_commit_of_100_offsets(benchmark: Any) -> None:
    data = encode(COMMIT, 9)
    benchmark(lambda: OffsetCommitRequest.decode(Reader(data), 9))


def test_heartbeat(benchmark: Any) -> None:
    world = World()
    client = Client(world, instance="one")
    client.join()
    client.sync()
    request = HeartbeatRequest("g", client.generation, client.id, "one")
    assert benchmark(lambda: world.coordinator.heartbeat(request, world.now_ms)) == 0


def test_rebalance_of_1000_members(benchmark: Any) -> None:
    world = World()
    clients = [Client(world, instance=f"i{number}") for number in range(1000)]
    clients[0].join()
    for client in clients[1:]:
        client.join()
    clients[0].ask_join()

    def rebalance() -> None:
        leader = next(client for client in clients if client.leads)
        leader.ask_join()
        for client in clients:
            if client is not leader:
                client.ask_join()
        leader.sync({client.id: b"partitions" for client in clients})
        assert world.group().state.value == "Stable"

    next(client for client in clients if client.leads).sync()
    benchmark.pedantic(rebalance, rounds=3)
