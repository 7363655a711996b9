"""Configuration: sources, kinds, errors that say what to do."""
from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from robustmq._fastpath.protocols.kafka.configs import BROKER_CONFIGS
from robustmq.server.assembly import kafka_settings
from robustmq.server.config.load import ConfigError, load
from robustmq.server.config.render import page, toml
from robustmq.server.config.sections import SECTIONS, Config, Mapping, kind_of

ROOT = Path(__file__).parents[3]


def from_toml(tmp_path: Path, text: str) -> Config:
    file = tmp_path / "robustmq.toml"
    file.write_text(text)
    return load(file, {}, [])


def test_without_anything_everything_has_its_default() -> None:
    assert load(None, {}, []) == Config()


def test_every_default_is_allowed() -> None:
    for kind in SECTIONS.values():
        for item in fields(kind):
            raw = list(item.default) if isinstance(item.default, tuple) else item.default
            assert kind_of(item).parse(raw) == item.default, item.name


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "robustmq.toml"
    file.write_text("[mqtt]\nmax_queued = 1\nmax_inflight = 1\nmax_retained = 1\n")
    environment = {"ROBUSTMQ_MQTT_MAX_QUEUED": "2", "ROBUSTMQ_MQTT_MAX_INFLIGHT": "2", "ROBUSTMQ_JOBS": "2"}
    config = load(file, environment, ["mqtt.max_queued=3"])
    assert (config.mqtt.max_queued, config.mqtt.max_inflight, config.mqtt.max_retained) == (3, 2, 1)


@pytest.mark.parametrize(("setting", "section", "name", "value"), [
    ("storage.segment_bytes=16MiB", "storage", "segment_bytes", 16 << 20),
    ("storage.segment_bytes=16777216", "storage", "segment_bytes", 16 << 20),
    ("storage.journal_bytes=2TB", "storage", "journal_bytes", 2 * 10**12),
    ("reactor.write_timeout_ms=30s", "reactor", "write_timeout_ms", 30_000),
    ("reactor.write_timeout_ms=250", "reactor", "write_timeout_ms", 250),
    ("mqtt.session_expiry_max_s=1h", "mqtt", "session_expiry_max_s", 3600),
    ("mqtt.deny_subscribe=a/b, c/#", "mqtt", "deny_subscribe", ("a/b", "c/#")),
    ("mqtt.shared_subscriptions=false", "mqtt", "shared_subscriptions", False),
    ("mqtt.listen=", "mqtt", "listen", ""),
    ("kafka.listen=[::1]:0", "kafka", "listen", "[::1]:0"),
])
def test_values(setting: str, section: str, name: str, value: object) -> None:
    assert getattr(getattr(load(None, {}, [setting]), section), name) == value


@pytest.mark.parametrize(("setting", "says"), [
    ("mqtt.max_queud=5", "did you mean max_queued"),
    ("mqt.max_queued=5", "did you mean mqtt"),
    ("mqtt.max_queued=many", "mqtt.max_queued = 'many' is not possible; allowed is a whole number from 1"),
    ("mqtt.max_queued=0", "from 1 to 1000000"),
    ("mqtt.max_queued", "write it as section.key=value"),
    ("kafka.listen=localhost", "host:port"),
    ("kafka.listen=::1:9092", "host:port"),
    ("kafka.listen=a:65536", "65535"),
    ("kafka.advertised=a:0", "port from 1"),
    ("storage.durability=very", '"memory", "process" or "disk"'),
    ("storage.segment_bytes=3 lightyears", "a unit like"),
    ("mqtt.server_keepalive_max_s=1500ms", "finer than one s"),
    ("mqtt.shared_subscriptions=1", "true or false"),
    ("storage.journal_bytes=128MiB", "two segments"),
    ("mqtt.max_packet_size=200MiB", "a quarter of storage.segment_bytes"),
    ("mqtt.tls_key=a.pem", "mqtt.tls_cert"),
])
def test_errors_say_what_is_allowed(setting: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {}, [setting])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    with pytest.raises(ConfigError, match=r"ROBUSTMQ_MQTT_MAX_QUEUD.*did you mean"):
        load(None, {"ROBUSTMQ_MQTT_MAX_QUEUD": "1"}, [])


def test_a_queue_fits_into_the_snapshot_of_its_session() -> None:
    small = ["storage.segment_bytes=1MiB", "kafka.message_max_bytes=100000", "mqtt.max_packet_size=100000"]
    assert load(None, {}, [*small, "mqtt.max_queued=8192"]).mqtt.max_queued == 8192
    with pytest.raises(ConfigError, match="at most 8192, or larger segments"):
        load(None, {}, [*small, "mqtt.max_queued=8193"])


def test_a_memory_store_promises_what_it_can() -> None:
    assert load(None, {}, ["storage.store=memory"]).storage.durability == "memory"
    with pytest.raises(ConfigError, match="wal"):
        load(None, {}, ["storage.store=memory", "storage.durability=disk"])


def test_mapping_rules(tmp_path: Path) -> None:
    config = from_toml(tmp_path, '[[mapping]]\nfilter = "a/+/c"\ntopic = "folded"\npartitions = 4\nkey = "level:2"\n')
    assert config.mapping == (Mapping("a/+/c", "folded", 4, "level:2"),)


@pytest.mark.parametrize(("text", "says"), [
    ('[[mapping]]\ntopic = "t"\n', "mapping #1 has no filter"),
    ('[[mapping]]\nfilter = "a"\ntopic = "t"\nkey = "level:0"\n', "mapping #1.key = 'level:0'"),
    ('[[mapping]]\nfilter = "a/#/b"\ntopic = "t"\n', "mapping #1.filter = 'a/#/b'"),
    ('[[mapping]]\nfilter = "a+"\ntopic = "t"\n', r"mapping #1.filter = 'a\+'"),
    ('[[mapping]]\nfilter = ""\ntopic = "t"\n', "mapping #1.filter = ''"),
    ('[mapping]\nfilter = "a"\n', r"\[\[mapping\]\]"),
    ("mqtt = 5\n", r"write \[mqtt\]"),
    ("[mqtt\n", "is not TOML"),
    ('[mqtt]\ndeny_subscribe = [1]\n', "list of texts"),
])
def test_mistakes_in_a_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        from_toml(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", {}, [])


def test_what_is_printed_can_be_read_back(tmp_path: Path) -> None:
    config = from_toml(tmp_path, '[mqtt]\ndeny_subscribe = ["a", "b\\"c"]\n[storage]\nsegment_bytes = "32MiB"\n'
                                 '[[mapping]]\nfilter = "#"\ntopic = "all"\n')
    assert from_toml(tmp_path, toml(config)) == config


def test_the_page_of_documentation_is_current() -> None:
    file = ROOT / "docs" / "operations" / "configuration.md"
    assert file.read_text() == page(), "run: python -m robustmq.server.config.render > docs/operations/configuration.md"


def test_what_kafka_s_clients_are_told_of_it() -> None:
    """Each by a name that DescribeConfigs knows, with a value that Kafka would take."""
    config = Config()
    told = kafka_settings(replace(config, kafka=replace(config.kafka, producer_id_expiration_ms=5000)))
    assert [name for name, value in told.items() if BROKER_CONFIGS[name].wrong(value)] == []
    assert told["producer.id.expiration.ms"] == "5000"
    assert kafka_settings(config)["producer.id.expiration.ms"] == BROKER_CONFIGS["producer.id.expiration.ms"].default
