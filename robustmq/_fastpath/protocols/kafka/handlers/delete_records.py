"""DeleteRecords (KIP-107): a partition starts at a later offset from now on, also after a restart."""
from collections import Counter

from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import DeleteRecordsRequest, DeleteRecordsResponse
from ..messages.delete_records import DeleteRecordsPartitionResult, DeleteRecordsTopicResult
from ..needs import Broker, KafkaError

HIGH_WATERMARK = -1     # as an offset: everything
NO_WATERMARK = -1


async def delete_records(broker: Broker, header: RequestHeader, request: DeleteRecordsRequest) -> DeleteRecordsResponse:
    """Every partition for itself; one that is named twice is an error."""
    asked = Counter((topic.name, each.partition_index) for topic in request.topics for each in topic.partitions)
    response = DeleteRecordsResponse()
    for topic in request.topics:
        results = []
        for each in topic.partitions:
            result = DeleteRecordsPartitionResult(each.partition_index, NO_WATERMARK)
            try:
                if asked[topic.name, each.partition_index] > 1:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, "a partition is named twice")
                result.low_watermark = await _delete(broker, topic.name, each.partition_index, each.offset)
            except KafkaError as error:
                result.error_code = error.code
            results.append(result)
        response.topics.append(DeleteRecordsTopicResult(topic.name, results))
    return response


async def _delete(broker: Broker, topic: str, number: int, offset: int) -> int:
    partition = broker.topics.partition(topic, number)
    if partition is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no partition {number} of topic {topic!r}")
    return await broker.topics.delete_records(topic, number, partition.end if offset == HIGH_WATERMARK else offset)
