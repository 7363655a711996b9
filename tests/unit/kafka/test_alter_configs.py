"""AlterConfigs and IncrementalAlterConfigs: what is changed, what is refused, and that a refusal changes nothing."""
from collections.abc import Callable

import pytest

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.handlers.alter_configs import APPEND, DELETE, SET, SUBTRACT
from robustmq._fastpath.protocols.kafka.messages import (
    AlterConfigsRequest,
    AlterConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
)
from robustmq._fastpath.protocols.kafka.messages import alter_configs as whole
from robustmq._fastpath.protocols.kafka.messages import incremental_alter_configs as parts

from .fakes import Peer

Play = Callable[..., None]
BEFORE = {"retention.ms": "1000", "cleanup.policy": "delete"}


def resource(*changes: tuple[str, int, str | None], name: str = "t", kind: int = 2) -> parts.AlterConfigsResource:
    return parts.AlterConfigsResource(kind, name, [parts.AlterableConfig(*change) for change in changes])


async def change(peer: Peer, *resources: parts.AlterConfigsResource, version: int = 1,
                 validate_only: bool = False) -> list[tuple[int, str | None]]:
    """Error and message of each resource."""
    response = await peer.ask(IncrementalAlterConfigsRequest([*resources], validate_only), version,
                              IncrementalAlterConfigsResponse)
    assert [(each.resource_type, each.resource_name) for each in response.responses] == [
        (each.resource_type, each.resource_name) for each in resources]
    return [(each.error_code, each.error_message) for each in response.responses]


@pytest.mark.parametrize("version", range(2))
@pytest.mark.parametrize(("changes", "after"), [
    ([("retention.ms", SET, "5")], {"retention.ms": "5", "cleanup.policy": "delete"}),
    ([("retention.ms", DELETE, None)], {"cleanup.policy": "delete"}),
    ([("segment.ms", DELETE, "")], BEFORE),
    ([("cleanup.policy", APPEND, "compact")], BEFORE | {"cleanup.policy": "delete,compact"}),
    ([("cleanup.policy", APPEND, "delete")], BEFORE),
    ([("cleanup.policy", SUBTRACT, "delete"), ("retention.bytes", SET, "-1")],
     BEFORE | {"cleanup.policy": "", "retention.bytes": "-1"}),
    ([("min.compaction.lag.ms", SET, "7"), ("remote.storage.enable", SET, "true")],
     BEFORE | {"min.compaction.lag.ms": "7", "remote.storage.enable": "true"}),
])
def test_parts_change(play: Play, version: int, changes: list[tuple[str, int, str | None]],
                      after: dict[str, str]) -> None:
    async def scenario(peer: Peer) -> None:
        topic = peer.topics.add("t", 1, BEFORE)
        assert await change(peer, resource(*changes), version=version, validate_only=True) == [(0, None)]
        assert topic.set_configs == BEFORE
        assert await change(peer, resource(*changes), version=version) == [(0, None)]
        assert topic.set_configs == after

    play(scenario)


def test_a_list_that_was_not_set_begins_as_the_broker_s(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        topic = peer.topics.add("t")
        assert await change(peer, resource(("cleanup.policy", APPEND, "delete"))) == [(0, None)]
        assert topic.set_configs == {"cleanup.policy": "compact,delete"}

    play(scenario, settings={"log.cleanup.policy": "compact"})


@pytest.mark.parametrize(("wanted", "error"), [
    (resource(("no.such", SET, "1")), ErrorCode.INVALID_CONFIG),
    (resource(("retention.ms", SET, "soon")), ErrorCode.INVALID_CONFIG),
    (resource(("retention.ms", SET, "-2")), ErrorCode.INVALID_CONFIG),
    (resource(("segment.bytes", SET, "1000")), ErrorCode.INVALID_CONFIG),
    (resource(("segment.bytes", SET, "4294967296")), ErrorCode.INVALID_CONFIG),
    (resource(("min.cleanable.dirty.ratio", SET, "1.5")), ErrorCode.INVALID_CONFIG),
    (resource(("cleanup.policy", SET, "compact,compact")), ErrorCode.INVALID_CONFIG),
    (resource(("min.compaction.lag.ms", SET, "10"), ("max.compaction.lag.ms", SET, "9")), ErrorCode.INVALID_CONFIG),
    (resource(("remote.storage.enable", SET, "true"), ("cleanup.policy", SET, "compact")), ErrorCode.INVALID_CONFIG),
    (resource(("remote.storage.enable", SET, "true"), ("local.retention.ms", SET, "1001")), ErrorCode.INVALID_CONFIG),
    (resource(("robustmq.durability", SET, "memory")), ErrorCode.INVALID_CONFIG),
    (resource(("retention.ms", APPEND, "1")), ErrorCode.INVALID_CONFIG),
    (resource(("no.such", SUBTRACT, "1")), ErrorCode.INVALID_CONFIG),
    (resource(("retention.ms", SET, None)), ErrorCode.INVALID_REQUEST),
    (resource(("retention.ms", 9, "1")), ErrorCode.INVALID_REQUEST),
    (resource(("retention.ms", SET, "1"), ("retention.ms", DELETE, None)), ErrorCode.INVALID_REQUEST),
    (resource(("retention.ms", SET, "1"), name="other"), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
    (resource(("retention.ms", SET, "1"), name="a/b"), ErrorCode.INVALID_TOPIC_EXCEPTION),
    (resource(("retention.ms", SET, "1"), name=""), ErrorCode.INVALID_REQUEST),
    (resource(("retention.ms", SET, "1"), name="inner"), ErrorCode.INVALID_TOPIC_EXCEPTION),
    (resource(("log.retention.ms", SET, "1"), name="3", kind=4), ErrorCode.INVALID_REQUEST),
    (resource(("x", SET, "1"), name="y", kind=8), ErrorCode.INVALID_REQUEST),
])
def test_a_refusal_changes_nothing(play: Play, wanted: parts.AlterConfigsResource, error: ErrorCode) -> None:
    async def scenario(peer: Peer) -> None:
        topic, good = peer.topics.add("t", 1, BEFORE), peer.topics.add("good")
        peer.topics.add("inner").internal = True
        (first, message), second = await change(peer, wanted, resource(("retention.ms", SET, "9"), name="good"))
        assert (first, second) == (error, (0, None))
        assert message
        assert (topic.set_configs, good.set_configs) == (BEFORE, {"retention.ms": "9"})

    play(scenario)


def test_a_resource_is_named_once(play: Play) -> None:
    async def scenario(peer: Peer) -> None:
        topic = peer.topics.add("t")
        codes = await change(peer, resource(("retention.ms", SET, "1")), resource(("retention.bytes", SET, "1")))
        assert [code for code, _ in codes] == [ErrorCode.INVALID_REQUEST] * 2
        assert topic.set_configs == {}

    play(scenario)


@pytest.mark.parametrize("version", range(3))
def test_the_whole_is_replaced(play: Play, version: int) -> None:
    async def scenario(peer: Peer) -> None:
        topic = peer.topics.add("t", 1, BEFORE)

        async def replace(configs: dict[str, str | None], validate_only: bool = False) -> int:
            wanted = whole.AlterConfigsResource(2, "t", [whole.AlterableConfig(*item) for item in configs.items()])
            response = await peer.ask(AlterConfigsRequest([wanted], validate_only), version, AlterConfigsResponse)
            return int(response.responses[0].error_code)

        assert await replace({"segment.ms": "60000"}, validate_only=True) == 0
        assert topic.set_configs == BEFORE
        assert await replace({"segment.ms": None}) == ErrorCode.INVALID_REQUEST
        assert await replace({"segment.ms": "0"}) == ErrorCode.INVALID_CONFIG
        assert topic.set_configs == BEFORE
        assert await replace({"segment.ms": "60000"}) == 0
        assert topic.set_configs == {"segment.ms": "60000"}

    play(scenario)
