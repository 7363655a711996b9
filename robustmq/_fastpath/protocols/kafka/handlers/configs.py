"""DescribeConfigs: every configuration with its value, where that comes from, and what it would be otherwise."""
from collections.abc import Iterator, Mapping

from ..configs import BROKER_CONFIGS, TOPIC_CONFIGS, Config, Source
from ..errors import ErrorCode
from ..frames import RequestHeader
from ..messages import DescribeConfigsRequest, DescribeConfigsResponse
from ..messages.describe_configs import (
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)
from ..names import why_not_a_topic_name
from ..needs import Broker, KafkaError

TOPIC, BROKER = 2, 4        # ConfigResource types


def broker_values(broker: Broker) -> dict[str, str]:
    """What this broker was started with, by Kafka's names."""
    return {
        "advertised.listeners": f"PLAINTEXT://{broker.host}:{broker.port}",
        "auto.create.topics.enable": str(broker.auto_create_topics).lower(),
        "message.max.bytes": str(broker.message_max_bytes),
        "node.id": str(broker.node_id),
        "num.partitions": str(broker.num_partitions),
        **(broker.settings or {}),
    }


def topic_values(broker: Broker, configs: Mapping[str, str]) -> Iterator[tuple[str, str, Source]]:
    """Name, value and source of each configuration of a topic for which `configs` were set."""
    settings = broker_values(broker)
    for name, config in TOPIC_CONFIGS.items():
        if name in configs:
            yield name, configs[name], Source.TOPIC
        else:
            yield name, *_broker_value(settings, BROKER_CONFIGS.get(config.broker, config))


def _broker_value(settings: Mapping[str, str], config: Config) -> tuple[str, Source]:
    value = settings.get(config.name, config.default)
    return value, Source.DEFAULT if value == config.default else Source.STATIC_BROKER


async def describe_configs(broker: Broker, header: RequestHeader,
                           request: DescribeConfigsRequest) -> DescribeConfigsResponse:
    """Topics and this broker; null keys are all."""
    response = DescribeConfigsResponse()
    for resource in request.resources:
        result = DescribeConfigsResult(resource_type=resource.resource_type, resource_name=resource.resource_name)
        response.results.append(result)
        try:
            described = _topic(broker, resource) if resource.resource_type == TOPIC else _broker(broker, resource)
        except KafkaError as error:
            result.error_code, result.error_message = error.code, str(error)
            continue
        keys = resource.configuration_keys
        result.configs = [each for each in described if keys is None or each.name in keys]
        for each in result.configs:
            each.synonyms = each.synonyms if request.include_synonyms else []
            each.documentation = each.documentation if request.include_documentation else None
    return response


def _topic(broker: Broker, resource: DescribeConfigsResource) -> list[DescribeConfigsResourceResult]:
    name = resource.resource_name
    if wrong := why_not_a_topic_name(name):
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, wrong)
    if broker.topics.find(name) is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {name!r}")
    settings = broker_values(broker)
    described = []
    for key, value, source in topic_values(broker, broker.topics.configs(name)):
        config = TOPIC_CONFIGS[key]
        synonyms = [DescribeConfigsSynonym(key, value, source)] if source is Source.TOPIC else []
        if config.broker:
            synonyms += _synonyms(settings, BROKER_CONFIGS[config.broker])
        described.append(_described(config, value, source, synonyms))
    return described


def _broker(broker: Broker, resource: DescribeConfigsResource) -> list[DescribeConfigsResourceResult]:
    if resource.resource_type != BROKER:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"configurations of resource type {resource.resource_type} do not "
                         f"exist here: {TOPIC} is a topic, {BROKER} a broker")
    if resource.resource_name not in ("", str(broker.node_id)):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"this is broker {broker.node_id}, not {resource.resource_name!r}")
    settings = broker_values(broker)
    return [_described(config, *_broker_value(settings, config), _synonyms(settings, config))
            for config in BROKER_CONFIGS.values()]


def _synonyms(settings: Mapping[str, str], config: Config) -> list[DescribeConfigsSynonym]:
    """The broker-wide values, the one that counts first."""
    value, source = _broker_value(settings, config)
    own = [DescribeConfigsSynonym(config.name, value, source)] if source is not Source.DEFAULT else []
    return [*own, DescribeConfigsSynonym(config.name, config.default, Source.DEFAULT)]


def _described(config: Config, value: str, source: Source,
               synonyms: list[DescribeConfigsSynonym]) -> DescribeConfigsResourceResult:
    return DescribeConfigsResourceResult(
        name=config.name, value=value, config_source=source, synonyms=synonyms, config_type=config.type,
        documentation=config.doc, read_only=config.name in BROKER_CONFIGS and config.name not in TOPIC_CONFIGS)
