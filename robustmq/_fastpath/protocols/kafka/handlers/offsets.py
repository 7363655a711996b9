"""OffsetCommit and OffsetFetch."""
from collections.abc import Iterable

from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse
from ..messages.offset_commit import OffsetCommitResponsePartition, OffsetCommitResponseTopic
from ..messages.offset_fetch import (
    OffsetFetchRequestGroup,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)
from ..needs import Broker, Committed, OffsetKey, Topic

TOPIC_IDS_FROM = 10     # OffsetCommit and OffsetFetch version (KIP-848)
BATCHED_FROM = 8        # OffsetFetch version (KIP-709)
NOTHING = (-1, -1, "", ErrorCode.NONE)


def _find(broker: Broker, version: int, name: str, topic_id: bytes) -> tuple[Topic | None, ErrorCode]:
    """A topic as the version names it, and the error when there is none."""
    if version >= TOPIC_IDS_FROM:
        return broker.topics.find_id(topic_id), ErrorCode.UNKNOWN_TOPIC_ID
    return broker.topics.find(name), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


async def offset_commit(broker: Broker, header: RequestHeader, request: OffsetCommitRequest) -> OffsetCommitResponse:
    """OffsetCommit: answered when the offsets are as durable as the log promises."""
    response = OffsetCommitResponse()
    commits: list[tuple[OffsetKey, int, int, str]] = []
    answers: list[OffsetCommitResponsePartition] = []
    for wanted in request.topics:
        topic, unknown = _find(broker, header.version, wanted.name, wanted.topic_id)
        answered = OffsetCommitResponseTopic(wanted.name, wanted.topic_id)
        response.topics.append(answered)
        for each in wanted.partitions:
            answer = OffsetCommitResponsePartition(each.partition_index)
            answered.partitions.append(answer)
            if topic is None:
                answer.error_code = unknown
            elif not 0 <= each.partition_index < topic.partitions:
                answer.error_code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            else:
                answers.append(answer)
                commits.append(((topic.name, each.partition_index), each.committed_offset, each.committed_leader_epoch,
                                each.committed_metadata or ""))
    try:
        errors = await broker.groups.commit(request, commits)
    except OSError:
        errors = [ErrorCode.KAFKA_STORAGE_ERROR] * len(commits)
    for answer, error in zip(answers, errors, strict=True):
        answer.error_code = error
    return response


def _committed(committed: Committed | None) -> tuple[int, int, str, ErrorCode]:
    """Offset, leader epoch, metadata and error of one partition."""
    return NOTHING if committed is None else (
        committed.offset, committed.leader_epoch, committed.metadata, ErrorCode.NONE)


def _all(keys: Iterable[OffsetKey]) -> dict[str, list[int]]:
    """Partitions by topic."""
    topics: dict[str, list[int]] = {}
    for name, number in sorted(keys):
        topics.setdefault(name, []).append(number)
    return topics


async def offset_fetch(broker: Broker, header: RequestHeader, request: OffsetFetchRequest) -> OffsetFetchResponse:
    """OffsetFetch: -1 where nothing is committed; null topics are all that the group has."""
    if header.version >= BATCHED_FROM:
        return OffsetFetchResponse(groups=[_fetch_group(broker, header.version, group) for group in request.groups])
    offsets = broker.groups.offsets(request.group_id)
    topics = _all(offsets).items() if request.topics is None else (
        (topic.name, topic.partition_indexes) for topic in request.topics)
    return OffsetFetchResponse(topics=[
        OffsetFetchResponseTopic(name, [
            OffsetFetchResponsePartition(number, *_committed(offsets.get((name, number)))) for number in numbers])
        for name, numbers in topics])


def _fetch_group(broker: Broker, version: int, group: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup:
    """One group of a batched request; from v10 on topics have ids instead of names."""
    offsets = broker.groups.offsets(group.group_id)
    response = OffsetFetchResponseGroup(group.group_id)
    if group.topics is None:
        for name, numbers in _all(offsets).items():
            topic = broker.topics.find(name)
            if topic is not None:
                response.topics.append(OffsetFetchResponseTopics(name, topic.id, [
                    OffsetFetchResponsePartitions(number, *_committed(offsets[name, number])) for number in numbers]))
        return response
    for wanted in group.topics:
        topic, unknown = _find(broker, version, wanted.name, wanted.topic_id)
        by_id = version >= TOPIC_IDS_FROM
        name = topic.name if topic is not None else wanted.name
        error = unknown if topic is None and by_id else ErrorCode.NONE
        response.topics.append(OffsetFetchResponseTopics(name, wanted.topic_id, [
            OffsetFetchResponsePartitions(number, -1, -1, "", error) if error is not ErrorCode.NONE else
            OffsetFetchResponsePartitions(number, *_committed(offsets.get((name, number))))
            for number in wanted.partition_indexes]))
    return response
