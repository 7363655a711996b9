"""DeleteRecords: each partition for itself, the high watermark by -1, the errors."""
from collections.abc import Callable

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.messages import DeleteRecordsRequest, DeleteRecordsResponse
from robustmq._fastpath.protocols.kafka.messages.delete_records import DeleteRecordsPartition, DeleteRecordsTopic

from .fakes import Peer

Play = Callable[..., None]


@pytest.mark.parametrize("version", range(3))
def test_each_partition_for_itself(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        for log in peer.broker.topics.add("t", 3).logs:
            log.end = 10
        asked = [DeleteRecordsPartition(0, 4), DeleteRecordsPartition(1, -1), DeleteRecordsPartition(2, 11),
                 DeleteRecordsPartition(7, 1)]
        response = await peer.ask(DeleteRecordsRequest([DeleteRecordsTopic("t", asked)], 1000), version,
                                  DeleteRecordsResponse)
        results = [(each.partition_index, each.low_watermark, each.error_code)
                   for each in response.topics[0].partitions]
        assert results == [(0, 4, 0), (1, 10, 0), (2, -1, ErrorCode.OFFSET_OUT_OF_RANGE),
                           (7, -1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)]

    play(scenario)


def test_a_partition_that_is_named_twice(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        peer.broker.topics.add("t").logs[0].end = 10
        asked = [DeleteRecordsPartition(0, 4), DeleteRecordsPartition(0, 5)]
        request = DeleteRecordsRequest([DeleteRecordsTopic("t", asked)], 1000)
        response = await peer.ask(request, 2, DeleteRecordsResponse)
        assert {each.error_code for each in response.topics[0].partitions} == {ErrorCode.INVALID_REQUEST}

    play(scenario)
