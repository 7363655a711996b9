"""Metadata and FindCoordinator: where everything is. On one node the answer is always this one."""
from collections.abc import Generator
from types import coroutine

from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse
from ..messages.find_coordinator import Coordinator
from ..messages.metadata import (
    MetadataRequestTopic,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from ..names import why_not_a_topic_name
from ..needs import Broker, KafkaError, Topic
from ..primitives import UUID_ZERO

# Bit sets of org.apache.kafka.common.acl.AclOperation; without users everything is allowed.
TOPIC_OPERATIONS = sum(1 << bit for bit in (3, 4, 5, 6, 7, 8, 10, 11))
CLUSTER_OPERATIONS = sum(1 << bit for bit in (5, 7, 8, 9, 10, 11, 12))
TOPICS_A_TURN = 500     # topics described before other control-plane work has its turn


@coroutine
def _turn() -> Generator[None, None, None]:
    """Let the event loop do what else is ready."""
    yield


async def metadata(broker: Broker, header: RequestHeader, request: MetadataRequest) -> MetadataResponse:
    """Brokers and topics. Null topics are all (in v0 none named are all), an empty list is none."""
    response = MetadataResponse(
        brokers=[MetadataResponseBroker(broker.node_id, broker.host, broker.port)], cluster_id=broker.cluster_id,
        controller_id=broker.node_id)
    if request.include_cluster_authorized_operations:
        response.cluster_authorized_operations = CLUSTER_OPERATIONS
    if request.topics is None or (header.version == 0 and not request.topics):
        for count, topic in enumerate(broker.topics.all(), 1):
            response.topics.append(_describe(broker, topic))
            if count % TOPICS_A_TURN == 0:
                await _turn()
    else:
        wanted = {(each.name, each.topic_id): each for each in request.topics}
        for count, each in enumerate(wanted.values(), 1):
            response.topics.append(await _named(broker, each, request.allow_auto_topic_creation))
            if count % TOPICS_A_TURN == 0:
                await _turn()
    if request.include_topic_authorized_operations:
        for described in response.topics:
            if described.error_code == ErrorCode.NONE:
                described.topic_authorized_operations = TOPIC_OPERATIONS
    return response


def _describe(broker: Broker, topic: Topic) -> MetadataResponseTopic:
    nodes = [broker.node_id]
    return MetadataResponseTopic(
        name=topic.name, topic_id=topic.id, is_internal=topic.internal,
        partitions=[MetadataResponsePartition(
            partition_index=number, leader_id=broker.node_id, leader_epoch=0, replica_nodes=nodes, isr_nodes=nodes)
            for number in range(topic.partitions)])


async def _named(broker: Broker, wanted: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic:
    """One topic by id (v12) or by name."""
    if wanted.topic_id != UUID_ZERO:
        topic = broker.topics.find_id(wanted.topic_id)
        if topic is None:
            return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=wanted.topic_id)
        return _describe(broker, topic)
    name = wanted.name or ""
    topic = broker.topics.find(name)
    if topic is not None:
        return _describe(broker, topic)
    if why_not_a_topic_name(name):
        return MetadataResponseTopic(error_code=ErrorCode.INVALID_TOPIC_EXCEPTION, name=name)
    if not (may_create and broker.auto_create_topics):
        return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name=name)
    try:
        return _describe(broker, await broker.topics.create(name, broker.num_partitions, {}, explicit=False))
    except KafkaError as error:
        topic = broker.topics.find(name)    # somebody else made it meanwhile
        return MetadataResponseTopic(error_code=error.code, name=name) if topic is None else _describe(broker, topic)


async def find_coordinator(broker: Broker, header: RequestHeader,
                           request: FindCoordinatorRequest) -> FindCoordinatorResponse:
    """The coordinator of groups is here; there is none of transactions and of share groups. From v4 on in batches."""
    groups = request.key_type == 0
    if groups:
        found = Coordinator(node_id=broker.node_id, host=broker.host, port=broker.port)
    elif request.key_type == 1:
        found = Coordinator(node_id=-1, port=-1, error_code=ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
                            error_message="this broker has no transactions: configure no transactional.id")
    else:
        found = Coordinator(node_id=-1, port=-1, error_code=ErrorCode.INVALID_REQUEST,
                            error_message=f"this broker has no coordinator of type {request.key_type}")
    if header.version < 4:
        return FindCoordinatorResponse(error_code=found.error_code, error_message=found.error_message,
                                       node_id=found.node_id, host=found.host, port=found.port)
    return FindCoordinatorResponse(coordinators=[
        Coordinator(key, found.node_id, found.host, found.port, found.error_code, found.error_message)
        for key in request.coordinator_keys])
