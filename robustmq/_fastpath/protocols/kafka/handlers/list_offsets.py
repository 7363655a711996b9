"""ListOffsets: an offset by time (KIP-79), and the special times."""
import asyncio
from collections import Counter

from robustmq._fastpath.stores.files import Elsewhere, LogError

from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import ListOffsetsRequest, ListOffsetsResponse
from ..messages.list_offsets import ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopicResponse
from ..needs import Broker, Partition
from ..records import first_record_at

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -1, -2, -3, -4, -5, -6
SINCE = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}    # ListOffsets version
LEADER_EPOCH = 0        # of every partition: on one node leadership never moves
NONE_FOUND = (-1, -1)
ARRIVALS_MAX = 3        # that are waited for, when the records are in the blob store


async def list_offsets(broker: Broker, header: RequestHeader, request: ListOffsetsRequest) -> ListOffsetsResponse:
    """Every partition is answered for itself; one that is named twice is an error."""
    asked = Counter((topic.name, each.partition_index) for topic in request.topics for each in topic.partitions)
    response = ListOffsetsResponse()
    for topic in request.topics:
        answers = []
        for each in topic.partitions:
            answer = ListOffsetsPartitionResponse(each.partition_index)
            if asked[topic.name, each.partition_index] > 1:
                answer.error_code = ErrorCode.INVALID_REQUEST
            else:
                await _answer(broker, header.version, topic.name, each, answer)
            answers.append(answer)
        response.topics.append(ListOffsetsTopicResponse(topic.name, answers))
    return response


async def _answer(broker: Broker, version: int, topic: str, asked: ListOffsetsPartition,
                  answer: ListOffsetsPartitionResponse) -> None:
    partition = broker.topics.partition(topic, asked.partition_index)
    if partition is None:
        answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    elif asked.current_leader_epoch > LEADER_EPOCH:
        answer.error_code = ErrorCode.UNKNOWN_LEADER_EPOCH
    elif asked.timestamp < EARLIEST and version < SINCE.get(asked.timestamp, version + 1):
        answer.error_code = ErrorCode.UNSUPPORTED_VERSION
    else:
        try:
            answer.timestamp, answer.offset = await _find(broker, partition, asked.timestamp)
        except LogError:
            answer.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        if answer.offset >= 0:
            answer.leader_epoch = LEADER_EPOCH


async def _find(broker: Broker, partition: Partition, timestamp_ms: int) -> tuple[int, int]:
    """Timestamp and offset; the tiers' own times find nothing. LogError."""
    match timestamp_ms:
        case -1:
            return -1, partition.end
        case -2 | -4:
            return -1, partition.start
        case -5 | -6:
            return NONE_FOUND
        case -3:
            timestamp_ms = partition.max_timestamp_ms
            if timestamp_ms < 0:
                return NONE_FOUND
    batch = await _seek(broker, partition, timestamp_ms)
    if batch is None:
        return NONE_FOUND
    found = await asyncio.to_thread(first_record_at, batch, timestamp_ms)
    return NONE_FOUND if found is None else found


async def _seek(broker: Broker, partition: Partition, timestamp_ms: int) -> bytes | None:
    """A batch by time, brought back from the blob store when it is there. Elsewhere: it cannot be had now."""
    for _ in range(ARRIVALS_MAX):
        try:
            return partition.seek_time(timestamp_ms)
        except Elsewhere:
            await broker.topics.arrival()
    return partition.seek_time(timestamp_ms)
