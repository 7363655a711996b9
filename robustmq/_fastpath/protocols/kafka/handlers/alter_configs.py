"""AlterConfigs, which replaces a topic's whole configuration, and IncrementalAlterConfigs, which changes parts of it
(KIP-339). Broker configurations are the configuration file's.
"""
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from ..configs import TOPIC_CONFIGS, Type, as_list, effective, why_not_configs
from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import (
    AlterConfigsRequest,
    AlterConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from ..messages import alter_configs as whole
from ..messages import incremental_alter_configs as parts
from ..names import why_not_a_topic_name
from ..needs import Broker, ConfigChange, KafkaError
from .configs import BROKER, TOPIC, broker_values

DURABILITY = "robustmq.durability"
SET, DELETE, APPEND, SUBTRACT = range(4)    # AlterConfigOp


class Named(Protocol):
    """A configuration in a request."""

    name: str
    value: str | None


class Resource(Protocol):
    """What is to be configured."""

    resource_type: int
    resource_name: str


Some = TypeVar("Some", bound=Resource)


async def alter_configs(broker: Broker, header: RequestHeader, request: AlterConfigsRequest) -> AlterConfigsResponse:
    """Each topic for itself; what is not named has its default again."""
    def replacing(resource: whole.AlterConfigsResource) -> ConfigChange:
        configs = _values(resource.configs)
        return lambda _: configs

    return AlterConfigsResponse(responses=[
        whole.AlterConfigsResourceResponse(code, message, resource.resource_type, resource.resource_name)
        for resource, code, message in await _each(broker, request.resources, replacing, request.validate_only)])


async def incremental_alter_configs(broker: Broker, header: RequestHeader,
                                    request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse:
    """Each topic for itself: all of its changes or none."""
    def changing(resource: parts.AlterConfigsResource) -> ConfigChange:
        _values([each for each in resource.configs if each.config_operation != DELETE])
        _once(resource.configs)
        return lambda configs: _changed(broker, configs, resource.configs)

    return IncrementalAlterConfigsResponse(responses=[
        parts.AlterConfigsResourceResponse(code, message, resource.resource_type, resource.resource_name)
        for resource, code, message in await _each(broker, request.resources, changing, request.validate_only)])


async def _each(broker: Broker, resources: list[Some], change_of: Callable[[Some], ConfigChange],
                validate_only: bool) -> list[tuple[Some, int, str | None]]:
    """Every resource with its error."""
    count = Counter((resource.resource_type, resource.resource_name) for resource in resources)
    answers: list[tuple[Some, int, str | None]] = []
    for resource in resources:
        try:
            if count[resource.resource_type, resource.resource_name] > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "each resource must appear at most once")
            name = _topic_name(broker, resource)
            wanted = _checked(broker, change_of(resource))
            if validate_only:
                wanted(broker.topics.configs(name))
            else:
                await broker.topics.alter(name, wanted)
            answers.append((resource, ErrorCode.NONE, None))
        except KafkaError as error:
            answers.append((resource, error.code, str(error)))
    return answers


def _topic_name(broker: Broker, resource: Resource) -> str:
    """The name of a topic that is there."""
    name = resource.resource_name
    if resource.resource_type == BROKER:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "broker configurations cannot be changed at run time: set them in "
                         "the configuration file and restart the broker")
    if resource.resource_type != TOPIC:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"configurations of resource type {resource.resource_type} cannot "
                         f"be changed here: {TOPIC} is a topic")
    if not name:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "default topic resources are not allowed")
    if wrong := why_not_a_topic_name(name):
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, wrong)
    if (topic := broker.topics.find(name)) is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")
    if topic.internal:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"topic {name!r} belongs to the broker")
    return name


def _checked(broker: Broker, change: ConfigChange) -> ConfigChange:
    """`change`, whose result must be a configuration that may be."""
    def checked(configs: Mapping[str, str]) -> Mapping[str, str]:
        wanted = change(configs)
        if wrong := why_not_configs(wanted, broker_values(broker)):
            raise KafkaError(ErrorCode.INVALID_CONFIG, wrong)
        if wanted.get(DURABILITY, "") != configs.get(DURABILITY, ""):
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{DURABILITY} is said when a topic is created, not later")
        return wanted

    return checked


def _once(configs: Sequence[Named]) -> None:
    if len({each.name for each in configs}) < len(configs):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "a configuration is named twice")


def _values(configs: Sequence[Named]) -> dict[str, str]:
    """Name and value of configurations, none of which may be null."""
    _once(configs)
    if null := [each.name for each in configs if each.value is None]:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {','.join(null)}")
    return {each.name: each.value for each in configs if each.value is not None}


def _changed(broker: Broker, configs: Mapping[str, str], changes: Sequence[parts.AlterableConfig]) -> dict[str, str]:
    """`configs` after the changes."""
    result = dict(configs)
    for each in changes:
        if each.config_operation == SET:
            result[each.name] = each.value or ""
        elif each.config_operation == DELETE:
            result.pop(each.name, None)
        elif each.config_operation in (APPEND, SUBTRACT):
            result[each.name] = _list_changed(broker, configs, each)
        else:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"unknown operation {each.config_operation} on {each.name}")
    return result


def _list_changed(broker: Broker, configs: Mapping[str, str], change: parts.AlterableConfig) -> str:
    """A LIST with items appended or taken away; one that was not set begins as its default."""
    config = TOPIC_CONFIGS.get(change.name)
    if config is None or config.type is not Type.LIST:
        raise KafkaError(ErrorCode.INVALID_CONFIG,
                         f"Can't {'APPEND to' if change.config_operation == APPEND else 'SUBTRACT from'} key "
                         f"{change.name} because its type is not LIST.")
    items = as_list(effective(configs, broker_values(broker))[change.name])
    named = as_list(change.value or "")
    if change.config_operation == APPEND:
        items += [item for item in named if item not in items]
    else:
        items = [item for item in items if item not in named]
    return ",".join(items)
