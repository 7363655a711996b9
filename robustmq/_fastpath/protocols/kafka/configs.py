"""Topic and broker configurations by Kafka's names: types, defaults, and what a value may be.

What an administrator sets is checked here, stored in the MetaStore and described as it was set. What the broker does
with it is in docs/protocols/kafka.md; what has no meaning here is kept for tools that expect to find it.
"""
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Type(IntEnum):
    """ConfigType of DescribeConfigs."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7


class Source(IntEnum):
    """ConfigSource of DescribeConfigs."""

    TOPIC = 1
    STATIC_BROKER = 4
    DEFAULT = 5


@dataclass(frozen=True, slots=True)
class Config:
    """One configuration; `broker` is the broker-wide one that gives its default, when there is one."""

    name: str
    type: Type
    default: str
    doc: str
    broker: str = ""
    allowed: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None

    def wrong(self, value: str) -> str | None:
        """Why `value` is not allowed, None when it is."""
        if self.type is Type.LIST:
            return self._wrong_list(as_list(value))
        if self.allowed and value not in self.allowed:
            return f"{self.name} must be one of {', '.join(self.allowed)}, not {value!r}"
        if self.type is Type.BOOLEAN and value.lower() not in ("true", "false"):
            return f"{self.name} must be true or false, not {value!r}"
        return self._wrong_number(value) if self.type in NUMBERS else None

    def _wrong_list(self, items: list[str]) -> str | None:
        if self.allowed and not set(items) <= set(self.allowed):
            return f"{self.name} must be a list of {', '.join(self.allowed)}, not {','.join(items)!r}"
        if len(set(items)) < len(items) or "" in items:
            return f"{self.name} must name each value once and none that is empty, not {','.join(items)!r}"
        return None

    def _wrong_number(self, value: str) -> str | None:
        try:
            number = float(value) if self.type is Type.DOUBLE else int(value)
        except ValueError:
            return f"{self.name} must be a number, not {value!r}"
        low, high = NUMBERS[self.type]
        low, high = low if self.low is None else self.low, high if self.high is None else self.high
        return None if low <= number <= high else f"{self.name} must be from {low} to {high}, not {value}"


def as_list(value: str) -> list[str]:
    """The items of a LIST configuration; spaces around them do not count."""
    return [item.strip() for item in value.split(",")] if value.strip() else []


LONG_MAX = 2**63 - 1
DOUBLE_MAX = int(sys.float_info.max)
MAX_LONG = str(LONG_MAX)
NUMBERS = {Type.SHORT: (-(2**15), 2**15 - 1), Type.INT: (-(2**31), 2**31 - 1), Type.LONG: (-LONG_MAX - 1, LONG_MAX),
           Type.DOUBLE: (-DOUBLE_MAX, DOUBLE_MAX)}
TOPIC_CONFIGS = {config.name: config for config in (
    Config("cleanup.policy", Type.LIST, "delete", "What becomes of old records.", "log.cleanup.policy",
           ("delete", "compact")),
    Config("compression.type", Type.STRING, "producer", "Batches are stored as they came.", "compression.type",
           ("producer", "uncompressed", "gzip", "snappy", "lz4", "zstd")),
    Config("compression.gzip.level", Type.INT, "-1", "Batches are stored as they came.", "compression.gzip.level",
           low=-1, high=9),
    Config("compression.lz4.level", Type.INT, "9", "Batches are stored as they came.", "compression.lz4.level",
           low=1, high=17),
    Config("compression.zstd.level", Type.INT, "3", "Batches are stored as they came.", "compression.zstd.level",
           low=-131072, high=22),
    Config("delete.retention.ms", Type.LONG, "86400000", "How long a tombstone is kept.",
           "log.cleaner.delete.retention.ms", low=0),
    Config("file.delete.delay.ms", Type.LONG, "60000", "Delay before files are removed.",
           "log.segment.delete.delay.ms", low=0),
    Config("flush.messages", Type.LONG, MAX_LONG, "See robustmq.durability.", "log.flush.interval.messages", low=1),
    Config("flush.ms", Type.LONG, MAX_LONG, "See robustmq.durability.", "log.flush.interval.ms", low=0),
    Config("follower.replication.throttled.replicas", Type.LIST, "", "Has no meaning on one node."),
    Config("index.interval.bytes", Type.INT, "4096", "Every batch is indexed.", "log.index.interval.bytes", low=0),
    Config("leader.replication.throttled.replicas", Type.LIST, "", "Has no meaning on one node."),
    Config("local.retention.bytes", Type.LONG, "-2", "How much of a tiered partition stays here, -2: retention.bytes.",
           "log.local.retention.bytes", low=-2),
    Config("local.retention.ms", Type.LONG, "-2", "How long tiered records stay here, -2: retention.ms.",
           "log.local.retention.ms", low=-2),
    Config("max.compaction.lag.ms", Type.LONG, MAX_LONG, "Latest time of compaction.",
           "log.cleaner.max.compaction.lag.ms", low=1),
    Config("max.message.bytes", Type.INT, "1048588", "Largest record batch.", "message.max.bytes", low=0),
    Config("message.timestamp.after.max.ms", Type.LONG, "3600000", "How far in the future a timestamp may be.",
           "log.message.timestamp.after.max.ms", low=0),
    Config("message.timestamp.before.max.ms", Type.LONG, MAX_LONG, "How far in the past a timestamp may be.",
           "log.message.timestamp.before.max.ms", low=0),
    Config("message.timestamp.type", Type.STRING, "CreateTime", "Whose clock a record's timestamp is of.",
           "log.message.timestamp.type", ("CreateTime", "LogAppendTime")),
    Config("min.cleanable.dirty.ratio", Type.DOUBLE, "0.5", "When compaction is worth it.",
           "log.cleaner.min.cleanable.ratio", low=0, high=1),
    Config("min.compaction.lag.ms", Type.LONG, "0", "Earliest time of compaction.",
           "log.cleaner.min.compaction.lag.ms", low=0),
    Config("min.insync.replicas", Type.INT, "1", "One node is one replica.", "min.insync.replicas", low=1),
    Config("preallocate", Type.BOOLEAN, "false", "The journal is always preallocated.", "log.preallocate"),
    Config("remote.copy.disable", Type.BOOLEAN, "false", "No more is tiered; what is tiered stays readable."),
    Config("remote.log.delete.on.disable", Type.BOOLEAN, "false", "Delete what is tiered when tiering ends."),
    Config("remote.storage.enable", Type.BOOLEAN, "false", "Whether sealed records go to the remote tier."),
    Config("retention.bytes", Type.LONG, "-1", "How much of a partition is kept, -1 for all.", "log.retention.bytes"),
    Config("retention.ms", Type.LONG, "604800000", "How long a record is kept, -1 for ever.", "log.retention.ms",
           low=-1),
    Config("robustmq.durability", Type.STRING, "", "What an acknowledged message survives; empty: the broker's.",
           allowed=("", "memory", "process", "disk")),
    Config("segment.bytes", Type.INT, "1073741824", "Retention and compaction leave so much at the end alone.",
           "log.segment.bytes", low=1 << 20),
    Config("segment.index.bytes", Type.INT, "10485760", "The index is in memory.", "log.index.size.max.bytes", low=4),
    Config("segment.jitter.ms", Type.LONG, "0", "Segments belong to the journal.", "log.roll.jitter.ms", low=0),
    Config("segment.ms", Type.LONG, "604800000", "Longest time until a record can be compacted.", "log.roll.ms",
           low=1),
    Config("unclean.leader.election.enable", Type.BOOLEAN, "false", "Has no meaning on one node.",
           "unclean.leader.election.enable"),
)}
BROKER_CONFIGS = {config.name: config for config in (
    Config("advertised.listeners", Type.STRING, "", "Where clients are told to connect to."),
    Config("auto.create.topics.enable", Type.BOOLEAN, "true", "Whether Metadata creates a topic that is asked for."),
    Config("default.replication.factor", Type.INT, "1", "One node is one replica."),
    Config("group.initial.rebalance.delay.ms", Type.INT, "3000", "How long a new group gathers members."),
    Config("group.max.session.timeout.ms", Type.INT, "1800000", "Longest session of a group's member."),
    Config("group.min.session.timeout.ms", Type.INT, "6000", "Shortest session of a group's member."),
    Config("log.cleaner.io.max.bytes.per.second", Type.DOUBLE, "1.7976931348623157E308",
           "How fast compaction reads and writes."),
    Config("node.id", Type.INT, "0", "This broker."),
    Config("num.partitions", Type.INT, "1", "Partitions of a topic that does not say."),
    Config("offset.metadata.max.bytes", Type.INT, "4096", "Longest metadata of a committed offset."),
    Config("offsets.retention.minutes", Type.INT, "10080", "How long an empty group's offsets are kept."),
    Config("producer.id.expiration.ms", Type.INT, "86400000", "How long a silent idempotent producer is remembered."),
    Config("socket.request.max.bytes", Type.INT, "104857600", "Largest request."),
    *(Config(config.broker, config.type, config.default, config.doc, "", config.allowed, config.low)
      for config in TOPIC_CONFIGS.values() if config.broker),
)}


def effective(configs: Mapping[str, str], settings: Mapping[str, str] | None) -> dict[str, str]:
    """Every topic configuration: as it was set, else as the broker's `settings` say, else Kafka's default."""
    settings = settings or {}
    return {name: configs.get(name, settings.get(config.broker, config.default))
            for name, config in TOPIC_CONFIGS.items()}


def why_not_configs(configs: Mapping[str, str | None], settings: Mapping[str, str] | None = None) -> str | None:
    """What is wrong with a topic's configuration, None when nothing is. `settings`: broker-wide, by Kafka's names."""
    for name, value in configs.items():
        if name not in TOPIC_CONFIGS:
            return f"Unknown topic config name: {name}"
        if value is None:
            return f"Null value not supported for topic configs: {name}"
        if wrong := TOPIC_CONFIGS[name].wrong(value):
            return f"Invalid value {value!r} for configuration {name}: {wrong}"
    return _why_not_together(effective({name: value for name, value in configs.items() if value is not None}, settings))


def _why_not_together(configs: Mapping[str, str]) -> str | None:
    """What contradicts itself among values that are right one by one (Kafka's LogConfig.validate)."""
    if int(configs["min.compaction.lag.ms"]) > int(configs["max.compaction.lag.ms"]):
        return "min.compaction.lag.ms must not be above max.compaction.lag.ms"
    if configs["remote.storage.enable"].lower() != "true":
        return None
    if "compact" in as_list(configs["cleanup.policy"]):
        return "remote storage is not supported for compacted topics"
    for name, whole in (("local.retention.ms", "retention.ms"), ("local.retention.bytes", "retention.bytes")):
        local, most = int(configs[name]), int(configs[whole])
        if most >= 0 and (local == -1 or local > most):
            return f"{name} must not be above {whole}"
    return None
