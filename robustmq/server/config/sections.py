"""Every section and key. A key is one `key(default, kind, sentence)`; documentation, help and checks come from here."""
from __future__ import annotations

import os
from dataclasses import Field, dataclass, field, fields
from typing import Any

from robustmq.server.config.kinds import Address, Choice, Duration, Integer, Kind, Ratio, Size, Switch, Text, Texts

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
FOREVER_MS = 2**63 - 1
FOREVER_S = 0xFFFFFFFF      # MQTT 5: a session that does not expire
DURABILITIES = ("memory", "process", "disk")
FILTER = r"(?=[^\x00]{1,256}\Z)(?:(?:\+|[^+#/]*)/)*(?:\+|#|[^+#/]*)"      # of 1 to 256 characters [MQTT-4.7.1-1 to -3]


def key(default: Any, kind: Kind, says: str) -> Any:
    """A dataclass field that knows its kind and its documentation."""
    return field(default=default, metadata={"kind": kind, "says": says})


def kind_of(item: Field[Any]) -> Kind:
    """The kind of a key."""
    kind = item.metadata["kind"]
    assert isinstance(kind, Kind)
    return kind


@dataclass(frozen=True)
class Broker:
    """The broker as a whole."""

    id: int = key(0, Integer(0, 2**31 - 1), "Node id that Kafka clients see.")
    cluster_id: str = key("", Text("up to 64 letters, digits, - and _", r"[A-Za-z0-9_-]{0,64}"),
                          "Cluster id that Kafka clients see. Empty: made once and kept in the metadata store.")


@dataclass(frozen=True)
class Reactor:
    """The threads that own the connections."""

    threads: int = key(0, Integer(0, 64), "Reactor threads. 0: as many as cores, at most 8.")
    spin_us: int = key(0, Duration(0, 1_000_000, "us"),
                       "Busy-poll this long before a thread sleeps: less latency for a whole core.")
    high_water_bytes: int = key(MIB, Size(4 * KIB, GIB),
                                "Output that may wait for one connection; above it a subscriber's messages queue.")
    write_timeout_ms: int = key(60_000, Duration(100, 3_600_000, "ms"),
                                "A connection whose peer takes no byte for this long is closed.")
    max_connections: int = key(1_000_000, Integer(1, 16_000_000), "Connections, all listeners together.")
    pack_connections: int = key(64, Integer(0, 16_000_000),
                                "Connections that fill one reactor before the next is used (0: spread at once).")

    @property
    def thread_count(self) -> int:
        """`threads`, with 0 resolved for this machine."""
        return self.threads or min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
                                   else os.cpu_count() or 1, 8)


@dataclass(frozen=True)
class Mqtt:
    """MQTT 3.1, 3.1.1 and 5.0."""

    listen: str = key("127.0.0.1:1883", Address(), "Plain TCP.")
    tls_listen: str = key("127.0.0.1:8883", Address(), "TLS. Off as long as tls_cert is empty.")
    tls_cert: str = key("", Text("path of a PEM file"), "Certificate chain of the broker.")
    tls_key: str = key("", Text("path of a PEM file"), "Private key of tls_cert. Empty: it is in tls_cert's file.")
    tls_ca: str = key("", Text("path of a PEM file"), "Set: a client must show a certificate that one of these signed.")
    ws_listen: str = key("127.0.0.1:8083", Address(), "WebSocket with the subprotocol mqtt.")
    max_packet_size: int = key(MIB, Size(KIB, 256 * MIB - 1), "Largest packet that a client may send.")
    max_queued: int = key(1000, Integer(1, 1_000_000),
                          "Messages that wait for one session beyond its in-flight window. What comes above is dropped "
                          "and counted.")
    receive_maximum: int = key(1024, Integer(1, 65535), "QoS 1 and 2 messages that a client may have unacknowledged.")
    max_inflight: int = key(1000, Integer(1, 65535),
                            "QoS 1 and 2 messages on their way to a 3.x client (a 5.0 client says itself).")
    max_orphans: int = key(100_000, Integer(0, 16_000_000),
                           "Messages of shared subscriptions, per reactor, that a session left and that have to come "
                           "from the blob store before another member gets them. What comes above is dropped.")
    topic_alias_max: int = key(64, Integer(0, 65535), "Topic aliases that a client may use.")
    server_keepalive_max_s: int = key(0, Duration(0, 65535, "s"), "Longest keep-alive; 0: what the client asks for.")
    session_expiry_max_s: int = key(FOREVER_S, Duration(0, FOREVER_S, "s"),
                                    f"Longest time that a session outlives its connection; {FOREVER_S}: for ever.")
    connect_timeout_ms: int = key(10_000, Duration(100, 600_000, "ms"), "A new connection must send CONNECT within it.")
    max_sessions: int = key(1_000_000, Integer(1, 16_000_000), "Sessions, connected or not.")
    max_subscriptions_per_session: int = key(10_000, Integer(1, 10_000_000), "Subscriptions of one session.")
    max_retained: int = key(1_000_000, Integer(0, 16_000_000), "Retained messages.")
    deny_subscribe: tuple[str, ...] = key((), Texts(), "Filters that nobody may subscribe to.")
    shared_subscriptions: bool = key(True, Switch(), "Whether $share/GROUP/FILTER is offered.")


@dataclass(frozen=True)
class Kafka:
    """Kafka clients."""

    listen: str = key("127.0.0.1:9092", Address(), "Plain TCP.")
    advertised: str = key("", Address(), "Address that clients are told to connect to. Empty: the listener's own.")
    max_request_bytes: int = key(100 * MIB, Size(KIB, GIB), "Largest request.")
    auto_create_topics: bool = key(True, Switch(), "Create a topic when a client first asks for it.")
    num_partitions: int = key(1, Integer(1, 10_000), "Partitions of a topic that is created without a number.")
    message_max_bytes: int = key(1_048_588, Size(KIB, 64 * MIB), "Largest record batch (max.message.bytes of a topic).")
    log_cleanup_policy: str = key("delete", Choice(("delete", "compact", "compact,delete")),
                                  "What becomes of old records: cleanup.policy of a topic that does not say.")
    log_retention_ms: int = key(604_800_000, Duration(-1, FOREVER_MS, "ms"),
                                "How long a record is kept (retention.ms of a topic); -1: for ever.")
    log_retention_bytes: int = key(-1, Size(-1, 1024 * TIB),
                                   "How much of a partition is kept (retention.bytes of a topic); -1: all.")
    log_segment_bytes: int = key(GIB, Size(MIB, 2 * GIB - 1), "segment.bytes of a topic.")
    log_roll_ms: int = key(604_800_000, Duration(1, FOREVER_MS, "ms"), "segment.ms of a topic.")
    log_cleaner_min_cleanable_ratio: float = key(
        0.5, Ratio(),
        "Share of a compacted partition that must be new since it was last compacted (min.cleanable.dirty.ratio).")
    log_cleaner_min_compaction_lag_ms: int = key(
        0, Duration(0, FOREVER_MS, "ms"), "A record is left alone for so long (min.compaction.lag.ms of a topic).")
    log_cleaner_io_max_bytes_per_second: int = key(
        0, Size(0, 1024 * TIB), "What compaction reads and writes together; 0: as fast as it can.")
    log_cleaner_max_compaction_lag_ms: int = key(
        FOREVER_MS, Duration(1, FOREVER_MS, "ms"),
        "A record is not left alone for longer (max.compaction.lag.ms of a topic).")
    log_cleaner_delete_retention_ms: int = key(
        86_400_000, Duration(0, FOREVER_MS, "ms"), "How long a tombstone is kept (delete.retention.ms of a topic).")
    group_initial_rebalance_delay_ms: int = key(3000, Duration(0, 600_000, "ms"),
                                                "A new group waits this long for more members.")
    group_min_session_timeout_ms: int = key(6000, Duration(1, 86_400_000, "ms"),
                                            "Shortest session timeout of a member.")
    group_max_session_timeout_ms: int = key(1_800_000, Duration(1, 86_400_000, "ms"),
                                            "Longest session timeout of a member.")
    offsets_retention_ms: int = key(604_800_000, Duration(1000, 10**13, "ms"),
                                    "Offsets of a group without members are forgotten after it.")
    group_max_size: int = key(10_000, Integer(1, 1_000_000), "Members of one group.")
    groups_max: int = key(100_000, Integer(1, 10_000_000), "Groups.")
    groups_max_bytes: int = key(256 * MIB, Size(MIB, TIB), "Metadata and assignments of the members of all groups.")
    offsets_max: int = key(1_000_000, Integer(1, 100_000_000), "Committed offsets of all groups.")
    offset_metadata_max_bytes: int = key(4096, Size(0, 32767), "Longest metadata of a committed offset.")
    producer_id_expiration_ms: int = key(
        86_400_000, Duration(1, 2**31 - 1, "ms"),
        "An idempotent producer that appended nothing to a partition for so long is forgotten there.")
    producers_max: int = key(1024, Integer(1, 2500),
                             "Idempotent producers that a partition remembers; the longest silent goes first.")


@dataclass(frozen=True)
class Storage:
    """Where messages live, and what an acknowledgement promises."""

    data_dir: str = key("./robustmq-data", Text("path of a directory", r"[^\x00]+"),
                        "Data directory; --data-dir sets it too. It is made when it does not exist.")
    store: str = key("wal", Choice(("wal", "memory")), "Write-ahead log in data_dir, or memory only.")
    durability: str = key("disk", Choice(DURABILITIES),
                          "What an acknowledged message survives: nothing, SIGKILL of the broker, or power loss.")
    memory_bytes: int = key(256 * MIB, Size(MIB, 16 * TIB), "Bound of the memory store; the oldest go first.")
    segment_bytes: int = key(128 * MIB, Size(MIB, GIB),
                             "Size of a journal segment. A message has at most a quarter of it.")
    journal_bytes: int = key(8 * GIB, Size(4 * MIB, 1024 * TIB),
                             "Bound of the journal. Producers wait when sealing cannot keep up with it.")
    seal_bytes_per_s: int = key(256 * MIB, Size(MIB, 1024 * TIB),
                                "How fast segments become sealed files when half of the journal is used: slower "
                                "below that, as fast as it goes above.")
    merge_bytes_per_s: int = key(64 * MIB, Size(MIB, 1024 * TIB),
                                 "How fast small sealed files are written again as larger ones.")
    retention_check_interval_ms: int = key(300_000, Integer(1000, 86_400_000),
                                           "How often what is too old or too much goes, and compaction and merging.")
    cleaner_max_keys: int = key(1_000_000, Integer(1000, 1_000_000_000),
                                "Keys that compaction remembers in one pass, about 130 bytes each.")


@dataclass(frozen=True)
class Tier:
    """A blob store for what topics with remote.storage.enable keep: tried at start, also that it never overwrites."""

    url: str = key("", Text('"file:///path", "s3://bucket/prefix?endpoint=…", "webhdfs://host:9870/path" or "" for off',
                            r"[^\x00-\x20]*"),
                   "The store. Credentials come from the environment, as its own tools take them. Empty: none.")
    timeout_ms: int = key(30_000, Duration(100, 600_000, "ms"), "How long the store may take to answer, or for 8 MiB.")
    cache_bytes: int = key(GIB, Size(MIB, 1024 * TIB),
                           "Local disk for what readers have brought back from the store; the oldest goes first.")
    interval_ms: int = key(30_000, Duration(10, 86_400_000, "ms"),
                           "How often sealed files are looked for that are to go to the store, or to leave this disk.")


@dataclass(frozen=True)
class Limits:
    """Bounds that protect the broker."""

    max_topics: int = key(2_000_000, Integer(1, 100_000_000), "Topics.")


@dataclass(frozen=True)
class Http:
    """Health, metrics and administration."""

    listen: str = key("127.0.0.1:58080", Address(), "HTTP: /health/live, /health/ready, /metrics, /api/v1.")


@dataclass(frozen=True)
class Log:
    """The broker's own log, on stderr."""

    level: str = key("info", Choice(("debug", "info", "warning", "error")),
                     "Least important line that is written.")
    format: str = key("auto", Choice(("auto", "human", "json")),
                      "Lines for people, or JSON; auto: people on a terminal.")


@dataclass(frozen=True)
class Mapping:
    """A rule that folds many MQTT topics into one Kafka topic. Rules are tried in order; the first that fits holds."""

    filter: str = key("", Text("an MQTT topic filter", FILTER), "MQTT topics that it takes.")
    topic: str = key("", Text("a Kafka topic name", r"[A-Za-z0-9._-]{1,249}"), "Kafka topic that gets them.")
    partitions: int = key(1, Integer(1, 10_000), "Partitions of that topic.")
    key: str = key("topic", Text('"none", "topic", "client_id" or "level:N" with N from 1',
                                 r"none|topic|client_id|level:[1-9]\d{0,2}"),
                   "Record key: none, the MQTT topic, the publisher's client id, or level N of the topic.")


@dataclass(frozen=True)
class Config:
    """The whole configuration."""

    broker: Broker = Broker()
    reactor: Reactor = Reactor()
    mqtt: Mqtt = Mqtt()
    kafka: Kafka = Kafka()
    storage: Storage = Storage()
    tier: Tier = Tier()
    limits: Limits = Limits()
    http: Http = Http()
    log: Log = Log()
    mapping: tuple[Mapping, ...] = ()


SECTIONS: dict[str, type[Any]] = {item.name: type(item.default) for item in fields(Config) if item.name != "mapping"}
