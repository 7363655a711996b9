"""The mapping of topic names is a bijection, and ordinary names stay readable."""
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from robustmq._fastpath.broker.names import to_kafka, to_mqtt
from robustmq._fastpath.broker.topic import Topics
from robustmq._fastpath.stores.log import Log

from robustmq._fastpath.broker import mapping
from robustmq.server.config.sections import FILTER

LEGAL = re.compile(r"[A-Za-z0-9._-]{1,249}")
KAFKA = st.one_of(
    st.text("abcdef0125_.-", min_size=1, max_size=40),
    st.text("_25f.", min_size=1, max_size=40),
    st.lists(st.sampled_from(["__", "_", "5f", "20", "2e", "c3", "1f600", "_5f_", "__5f_", "__20_", ".", "a", "0"]),
             min_size=1, max_size=12).map("".join),
).filter(lambda name: name not in (".", ".."))
MQTT = st.one_of(
    st.text(st.characters(exclude_characters="\x00+#", exclude_categories=["Cs"]), min_size=1, max_size=24),
    KAFKA.map(lambda name: name.replace(".", "/")),
    st.text("_25f/ .", min_size=1, max_size=40),
).filter(lambda topic: topic not in ("/", "//"))


@pytest.mark.parametrize(("topic", "name"), [
    ("a/b/c", "a.b.c"),
    ("sensors/room_1/temp-2", "sensors.room_1.temp-2"),
    ("/leading", ".leading"),
    ("a//b", "a..b"),
    ("a/", "a."),
    ("a.b", "a__2e_b"),
    ("a b", "a__20_b"),
    ("é", "__e9_"),
    ("😀", "__1f600_"),
    ("$SYS/x", "__24_SYS.x"),
    ("a__b", "a__b"),
    ("__consumer_offsets", "__consumer_offsets"),
    ("__20_", "__5f__20_"),
    ("__5f_", "__5f_"),
    ("_", "_"),
])
def test_examples(topic: str, name: str) -> None:
    assert to_kafka(topic) == name
    assert to_mqtt(name) == topic


@settings(max_examples=2000, deadline=None)
@given(KAFKA)
@example("__5f__20_")
@example("__5f__5f__20_")
def test_every_kafka_name_has_one_mqtt_topic(name: str) -> None:
    assert to_kafka(to_mqtt(name)) == name


@settings(max_examples=2000, deadline=None)
@given(MQTT)
@example("__5f__20_")
@example("__20 ")
@example("_ ")
def test_every_mqtt_topic_that_fits_has_one_kafka_name(topic: str) -> None:
    try:
        name = to_kafka(topic)
    except ValueError:
        assert len(topic) > 20
        return
    assert LEGAL.fullmatch(name)
    assert to_mqtt(name) == topic


@pytest.mark.parametrize("topic", ["", "/", "//", "a/+", "#", "a\x00b", "x" * 250, "é" * 60])
def test_topics_without_a_name(topic: str) -> None:
    with pytest.raises(ValueError, match="no Kafka name"):
        to_kafka(topic)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "é", "x" * 250])
def test_illegal_kafka_names(name: str) -> None:
    with pytest.raises(ValueError, match="not a Kafka topic name"):
        to_mqtt(name)


def test_lengths_at_the_bound() -> None:
    assert to_mqtt("x" * 249) == "x" * 249
    assert to_kafka("x" * 249) == "x" * 249


@pytest.mark.parametrize("filter", ["#", "+", "/", "a", "a/#", "+/+", "a/+/b/#", "/#", "a//b", "ä/+"])
def test_filters_of_mapping_rules(filter: str) -> None:
    mapping.check_filter(filter)
    assert re.fullmatch(FILTER, filter)


@pytest.mark.parametrize("filter", ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "##", "a/b#", "a\0b", "\n\0"])
def test_what_is_no_filter_makes_no_rule(filter: str) -> None:
    assert not re.fullmatch(FILTER, filter)
    with pytest.raises(ValueError, match="is no topic filter"):
        mapping.check_filter(filter)
    log = Log(None)
    with pytest.raises(ValueError, match="is no topic filter"):
        Topics(log, mappings=[(filter, "t", 1, "none")])
    log.close()
