"""CreateTopics and DeleteTopics."""
from collections import Counter
from collections.abc import Mapping

from ..configs import why_not_configs
from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse
from ..messages.create_topics import CreatableTopic, CreatableTopicConfigs, CreatableTopicResult
from ..messages.delete_topics import DeletableTopicResult, DeleteTopicState
from ..names import why_not_a_topic_name
from ..needs import Broker, KafkaError
from ..primitives import UUID_ZERO
from .configs import broker_values, topic_values

UNSET = -1
TOPIC_STATES_FROM = 6       # DeleteTopics version that names topics by name or id


async def create_topics(broker: Broker, header: RequestHeader, request: CreateTopicsRequest) -> CreateTopicsResponse:
    """Each topic is created, or only checked, for itself."""
    count = Counter(topic.name for topic in request.topics)
    named_once = [topic for topic in request.topics if count[topic.name] == 1]
    response = CreateTopicsResponse(topics=[
        _refused(name, ErrorCode.INVALID_REQUEST, f"topic {name!r} is named {times} times")
        for name, times in count.items() if times > 1])
    for topic in named_once:
        try:
            response.topics.append(await _create(broker, topic, request.validate_only))
        except KafkaError as error:
            response.topics.append(_refused(topic.name, error.code, str(error)))
    return response


def _refused(name: str, code: ErrorCode, message: str) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=code, error_message=message, configs=[])


async def _create(broker: Broker, wanted: CreatableTopic, validate_only: bool) -> CreatableTopicResult:
    if wrong := why_not_a_topic_name(wanted.name):
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, wrong)
    if broker.topics.find(wanted.name) is not None:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"topic {wanted.name!r} exists already")
    partitions = _partitions(broker, wanted)
    configs = _configs(broker, {config.name: config.value for config in wanted.configs})
    topic_id = UUID_ZERO
    if not validate_only:
        topic_id = (await broker.topics.create(wanted.name, partitions, configs, explicit=True)).id
    return CreatableTopicResult(
        name=wanted.name, topic_id=topic_id, num_partitions=partitions, replication_factor=1,
        configs=[CreatableTopicConfigs(name, value, False, source)
                 for name, value, source in topic_values(broker, configs)])


def _configs(broker: Broker, configs: Mapping[str, str | None]) -> dict[str, str]:
    if wrong := why_not_configs(configs, broker_values(broker)):
        raise KafkaError(ErrorCode.INVALID_CONFIG, wrong)
    return {name: value for name, value in configs.items() if value is not None}


def _partitions(broker: Broker, wanted: CreatableTopic) -> int:
    """How many: as told, by assignment, or as the broker's default says (KIP-464)."""
    if wanted.assignments:
        if (wanted.num_partitions, wanted.replication_factor) != (UNSET, UNSET):
            raise KafkaError(ErrorCode.INVALID_REQUEST, "an assignment excludes partitions and a replication factor")
        if sorted(each.partition_index for each in wanted.assignments) != list(range(len(wanted.assignments))):
            raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions must be numbered 0, 1, 2 …")
        if any(each.broker_ids != [broker.node_id] for each in wanted.assignments):
            raise KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"the only broker is {broker.node_id}")
        partitions = len(wanted.assignments)
    else:
        partitions = broker.num_partitions if wanted.num_partitions == UNSET else wanted.num_partitions
        if wanted.replication_factor not in (UNSET, 1):
            raise KafkaError(ErrorCode.INVALID_REPLICATION_FACTOR,
                             f"replication factor {wanted.replication_factor}: this broker is one node, use 1 or -1")
    if not 1 <= partitions <= broker.max_partitions:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS,
                         f"{partitions} partitions: a topic has 1 to {broker.max_partitions}")
    return partitions


async def delete_topics(broker: Broker, header: RequestHeader, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
    """By name, from v6 on also by id."""
    states = request.topics if header.version >= TOPIC_STATES_FROM else [
        DeleteTopicState(name) for name in request.topic_names]
    count = Counter((state.name, state.topic_id) for state in states)
    return DeleteTopicsResponse(responses=[
        await _delete(broker, DeleteTopicState(*key), times) for key, times in count.items()])


async def _delete(broker: Broker, wanted: DeleteTopicState, times: int) -> DeletableTopicResult:
    result = DeletableTopicResult(wanted.name, wanted.topic_id)
    by_id = wanted.topic_id != UUID_ZERO
    topic = broker.topics.find_id(wanted.topic_id) if by_id else broker.topics.find(wanted.name or "")
    try:
        if times > 1 or by_id == (wanted.name is not None):
            raise KafkaError(ErrorCode.INVALID_REQUEST, "a topic is named once, by its name or by its id")
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID if by_id else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                             "there is no such topic")
        if topic.internal:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"topic {topic.name!r} belongs to the broker")
        await broker.topics.delete(topic.name)
        broker.groups.forget_topic(topic.name)
        result.name, result.topic_id = topic.name, topic.id
    except KafkaError as error:
        result.error_code, result.error_message = error.code, str(error)
    return result
