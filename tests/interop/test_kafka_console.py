"""Kafka's console tools: kafka-topics, kafka-console-producer, kafka-console-consumer, kafka-get-offsets."""
from __future__ import annotations

from uuid import uuid4

from tests.conftest import Broker

from .peers import kafka_tool, run


def tool(broker: Broker, name: str, *arguments: str, stdin: str = "") -> list[str]:
    """The lines that it prints."""
    return run(kafka_tool(name), "--bootstrap-server", broker.bootstrap, *arguments, stdin=stdin).splitlines()


def test_a_topic_is_made_described_and_deleted(broker: Broker) -> None:
    name = f"console-{uuid4().hex[:8]}"
    assert tool(broker, "TopicCommand", "--create", "--topic", name, "--partitions", "2") == [f"Created topic {name}."]
    described = tool(broker, "TopicCommand", "--describe", "--topic", name)
    assert "PartitionCount: 2" in described[0]
    assert [line.split()[3] for line in described[1:]] == ["0", "1"]
    tool(broker, "TopicCommand", "--delete", "--topic", name)
    assert name not in tool(broker, "TopicCommand", "--list")


def test_what_the_producer_writes_a_group_consumes(broker: Broker) -> None:
    name = f"console-{uuid4().hex[:8]}"
    tool(broker, "ConsoleProducer", "--topic", name, "--reader-property", "parse.key=true",
         "--reader-property", "key.separator=:", stdin="one:1\ntwo:2\nthree:3\n")
    assert tool(broker, "GetOffsetShell", "--topic", name) == [f"{name}:0:3"]
    group = ("--topic", name, "--group", name, "--from-beginning", "--formatter-property", "print.key=true")
    assert tool(broker, "consumer.ConsoleConsumer", *group, "--max-messages", "2") == ["one\t1", "two\t2"]
    assert tool(broker, "consumer.ConsoleConsumer", *group, "--max-messages", "1") == ["three\t3"]
