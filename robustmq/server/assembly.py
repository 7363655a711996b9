"""The composition root: makes the parts in order and knows how each one ends.

    log -> metadata -> topics, exchange -> protocols -> reactors -> cold halves -> seam -> gateways -> admin

`Broker.open` brings all of it up, `Broker.close` takes it down in the opposite order: nobody is accepted any more, what
is queued goes out, the log is synced. Every failure to start is a StartError.
"""
from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from robustmq._fastpath.broker.exchange import Exchange
from robustmq._fastpath.broker.topic import Topics
from robustmq._fastpath.link import ProtocolHandle
from robustmq._fastpath.protocols.kafka.apis import COLD_APIS
from robustmq._fastpath.protocols.kafka.cold import KafkaCold
from robustmq._fastpath.protocols.kafka.needs import Broker as KafkaNeeds
from robustmq._fastpath.protocols.kafka.protocol import HOT_APIS, KafkaProtocol
from robustmq._fastpath.protocols.mqtt import restart
from robustmq._fastpath.protocols.mqtt.protocol import MqttProtocol
from robustmq._fastpath.protocols.mqtt.records import Records
from robustmq._fastpath.protocols.mqtt.service import MqttService
from robustmq._fastpath.protocols.mqtt.sessions import Limits as MqttLimits
from robustmq._fastpath.protocols.mqtt.sessions import Session
from robustmq._fastpath.reactor.reactors import Reactors
from robustmq._fastpath.stores.files import LogError
from robustmq._fastpath.stores.log import Log
from robustmq._fastpath.stores.merge import Merge
from robustmq.server.admin.api import Api
from robustmq.server.admin.http import HttpServer
from robustmq.server.config.kinds import endpoint
from robustmq.server.config.sections import Config
from robustmq.server.directory import report_damage, report_recovery, settle
from robustmq.server.errors import StartError
from robustmq.server.groups.limits import GroupLimits
from robustmq.server.groups.service import Groups
from robustmq.server.health import READ_ONLY, UNREADABLE
from robustmq.server.identity import ProducerIds, cluster_id
from robustmq.server.meta.sqlite import SqliteStore
from robustmq.server.meta.store import MetaError
from robustmq.server.retention import Retention
from robustmq.server.seam import Seam
from robustmq.server.state import Space, StateLog
from robustmq.server.tiering.start import open_tier
from robustmq.server.topics import TopicAdmin
from robustmq.server.turns import Turns

FLUSH_S = 2.5           # of the five seconds that an orderly end may take
META_FILE = "meta.sqlite"
Bound = TypeVar("Bound")
log = logging.getLogger(__name__)


class Broker:
    """All parts of a running broker."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.listeners: dict[str, str] = {}         # of the ready line: name -> host:port
        self.started_s = time.monotonic()
        self._sessions: list[Session] = []
        self._ends = AsyncExitStack()
        self._turns = Turns()

    async def open(self) -> None:
        """Everything up to accepting clients. StartError."""
        try:
            await self._open_stores()
            self._make_protocols()
            await self._open_tier()
            await self._open_cold_halves()
            await self._open_doors()
            report_recovery(self.log)
        except (LogError, MetaError) as error:
            raise StartError(str(error)) from error

    async def close(self) -> None:
        """Stop accepting, flush, let go; also after `open` has failed half way."""
        await self._ends.aclose()

    async def _open_stores(self) -> None:
        storage = self.config.storage
        path = Path(storage.data_dir) if storage.store == "wal" else None
        if path is not None:
            make_directory(path)
        self.log = Log(path, segment_bytes=storage.segment_bytes, journal_bytes=storage.journal_bytes,
                       memory_bytes=storage.memory_bytes, seal_bytes_per_s=storage.seal_bytes_per_s,
                       slack_bytes=turn_bytes(self.config) * self.config.reactor.thread_count,
                       producers_max=self.config.kafka.producers_max,
                       producer_expiration_ms=self.config.kafka.producer_id_expiration_ms)
        self._ends.callback(self.log.close)
        self.log.when_unwell(self._unwell)
        self.meta = await SqliteStore.open(None if path is None else path / META_FILE)
        self._ends.push_async_callback(self.meta.close)
        report_damage(self.log, await settle(self.log, self.meta))
        try:
            self.topics = Topics(self.log, durability=storage.durability, max_topics=self.config.limits.max_topics,
                                 max_message_bytes=self.config.kafka.message_max_bytes,
                                 mappings=[(rule.filter, rule.topic, rule.partitions, rule.key)
                                           for rule in self.config.mapping])
        except ValueError as error:
            raise StartError(f"[[mapping]]: {error}") from error
        self.topic_admin = TopicAdmin(self.topics, self.log, self.meta, kafka_settings(self.config))
        await self.topic_admin.open()

    def _unwell(self, health: str) -> None:
        log.error(READ_ONLY.get(health, UNREADABLE), extra={"data_dir": self.config.storage.data_dir})

    def _make_protocols(self) -> None:
        config = self.config
        reactor = asdict(config.reactor) | {"threads": config.reactor.thread_count}
        self.reactors = Reactors(**reactor)
        self.exchange = Exchange(self.topics, max_retained=config.mqtt.max_retained)
        high_water = config.reactor.high_water_bytes
        self.mqtt = MqttProtocol(
            self.log, self.topics, self.exchange, high_water_bytes=high_water,
            **chosen(config.mqtt, "max_packet_size", "max_queued", "receive_maximum", "topic_alias_max", "max_inflight",
                     "max_orphans", "max_subscriptions_per_session", "deny_subscribe", "connect_timeout_ms"))
        self._ends.callback(self.mqtt.close)
        self.kafka = KafkaProtocol(self.topics, self.exchange, COLD_APIS, high_water_bytes=high_water,
                                   max_request_bytes=config.kafka.max_request_bytes)
        self.exchange.attach(self.reactors, self.log)
        self._ends.callback(self.exchange.close)
        self.protocols: list[ProtocolHandle] = [self.mqtt, self.kafka]
        for protocol in self.protocols:
            self.reactors.register(protocol)

    async def _open_cold_halves(self) -> None:
        config = self.config
        group_limits = GroupLimits(**chosen(config.kafka, *(item.name for item in fields(GroupLimits))))
        self.groups = Groups(group_limits, StateLog(self.log, Space.GROUPS))
        self._ends.callback(self.groups.close)
        limits = MqttLimits(**chosen(config.mqtt, *(item.name for item in fields(MqttLimits))))
        records = self._restore_sessions()
        self.mqtt_service = MqttService(self.mqtt, self.reactors, self.exchange, limits, records=records)
        self.mqtt_service.adopt(self._sessions)
        self._listen("mqtt", self.mqtt, config.mqtt.listen)
        self._listen("kafka", self.kafka, config.kafka.listen)
        host, port = endpoint(config.kafka.advertised or self.listeners.get("kafka", "")) or ("127.0.0.1", 0)
        self.kafka_cold = KafkaCold(KafkaNeeds(
            node_id=config.broker.id, host=reachable(host), port=port, topics=self.topic_admin, groups=self.groups,
            cluster_id=await cluster_id(self.meta, config.broker.cluster_id),
            producer_ids=ProducerIds(self.meta, StateLog(self.log, Space.DIRECTORY)), hot_apis=HOT_APIS,
            **chosen(config.kafka, "auto_create_topics", "num_partitions"),
            settings=kafka_settings(config)), self.reactors.answer)
        self.seam = Seam(self.reactors, [self.mqtt_service, self.kafka_cold])
        self._ends.push_async_callback(self.seam.close)
        self._ends.push_async_callback(asyncio.to_thread, self.reactors.stop, FLUSH_S)

    def _restore_sessions(self) -> Records | None:
        """The persistent sessions of the broker's last life, and where the records of new ones go."""
        if not self.mqtt.survives:
            return None
        self.mqtt.watch(asyncio.get_running_loop())
        records = Records(StateLog(self.log, Space.MQTT_SESSIONS), wait=self.config.storage.durability == "disk")
        self._sessions = restart.restore(self.mqtt, self.exchange, records, threads=self.config.reactor.thread_count,
                                         max_sessions=self.config.mqtt.max_sessions)
        return records

    def _look_again(self) -> None:
        """A run has come from the blob store, or cannot come now."""
        self.exchange.wake()
        self.mqtt.wake()

    async def _open_tier(self) -> None:
        """Before the sessions of the last life: what they find in the blob store is asked for."""
        cluster = await cluster_id(self.meta, self.config.broker.cluster_id)
        self.tier = await open_tier(self.config, self.log, self.meta, self.topic_admin, cluster, self._turns,
                                    self._look_again)
        if self.tier is not None:
            self._ends.push_async_callback(self.tier.close)

    async def _open_doors(self) -> None:
        """Gateways and the admin API, then the reactors: from here on clients are served."""
        config = self.config.mqtt
        if config.tls_cert and config.tls_listen:
            from robustmq.server.gateways import tls
            context = tls.context(config.tls_cert, config.tls_key, config.tls_ca)
            await self._gateway("mqtt_tls", config.tls_listen, tls.listen, context)
        if config.ws_listen:
            from robustmq.server.gateways import websocket
            await self._gateway("mqtt_ws", config.ws_listen, websocket.listen)
        if self.config.http.listen:
            server = HttpServer(Api(self).serve)
            self._ends.push_async_callback(server.close)
            host, port = endpoint(self.config.http.listen) or ("", 0)
            self.listeners["http"] = address(host, await bound("http", host, port, server.listen(host, port)))
        storage = self.config.storage
        retention = Retention(self.log, storage.retention_check_interval_ms, storage.cleaner_max_keys,
                              self.config.kafka.log_cleaner_io_max_bytes_per_second,
                              self.topic_admin.compacted, self._turns,
                              Merge(self.log, storage.merge_bytes_per_s) if storage.store == "wal" else None)
        retention.open()
        self._ends.push_async_callback(retention.close)
        self.reactors.start()
        self.seam.open()

    def _listen(self, name: str, protocol: ProtocolHandle, where: str) -> None:
        if (found := endpoint(where)) is not None:
            try:
                self.listeners[name] = address(found[0], self.reactors.listen(protocol, *found))
            except OSError as error:
                raise cannot_listen(name, *found, error) from error

    async def _gateway(self, name: str, where: str, listen: Callable[..., Awaitable[asyncio.Server]],
                       *more: object) -> None:
        host, port = endpoint(where) or ("", 0)
        server = await bound(name, host, port, listen(host, port, *more, self._adopt))
        self._ends.callback(server.close)
        self.listeners[name] = address(host, server.sockets[0].getsockname()[1])

    def _adopt(self, descriptor: int) -> None:
        self.reactors.adopt(descriptor, self.mqtt)


async def bound(name: str, host: str, port: int, listening: Awaitable[Bound]) -> Bound:
    """What `listening` returns; StartError when the address is taken."""
    try:
        return await listening
    except OSError as error:
        raise cannot_listen(name, host, port, error) from error


def cannot_listen(name: str, host: str, port: int, error: OSError) -> StartError:
    """Why a listener cannot be had, and which key to change."""
    key = {"mqtt_tls": "mqtt.tls_listen", "mqtt_ws": "mqtt.ws_listen"}.get(name, f"{name}.listen")
    why = "the address is in use by another process" if error.errno == errno.EADDRINUSE else (
        error.strerror or str(error))
    return StartError(f"cannot listen on {address(host, port)}: {why}; "
                      f"free it or use --set {key}=HOST:PORT (empty: off)")


def make_directory(path: Path) -> None:
    """The data directory, with its parents. StartError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise StartError(f"data directory {path} cannot be used: {error.strerror}; make it a directory that this user "
                         "may write to, or use --data-dir with another one") from error


def address(host: str, port: int) -> str:
    """host:port, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def reachable(host: str) -> str:
    """What a client can connect to when we listen on `host`: of all addresses, this machine's name."""
    import socket
    return socket.gethostname() if host in {"0.0.0.0", "::", ""} else host


def chosen(section: object, *names: str) -> dict[str, Any]:
    """Some keys of a section as keyword arguments."""
    return {name: getattr(section, name) for name in names}


def turn_bytes(config: Config) -> int:
    """What a reactor may append between two looks at the journal's brake, at most: all of one read, or of one frame. A
    Produce of the smallest batches becomes twice as many bytes; the smallest PUBLISH, 5 bytes, becomes two entries when
    it is retained, which is 60 times as many."""
    read = 1 << 20
    return max(2 * max(config.kafka.max_request_bytes, read), 60 * max(config.mqtt.max_packet_size, read))


def kafka_settings(config: Config) -> dict[str, str]:
    """Broker configurations by Kafka's names, as DescribeConfigs tells them."""
    kafka = config.kafka
    return {
        "log.cleaner.delete.retention.ms": str(kafka.log_cleaner_delete_retention_ms),
        "log.cleaner.io.max.bytes.per.second":
            str(float(kafka.log_cleaner_io_max_bytes_per_second or sys.float_info.max)).replace("e+", "E"),
        "log.cleaner.max.compaction.lag.ms": str(kafka.log_cleaner_max_compaction_lag_ms),
        "log.cleaner.min.cleanable.ratio": str(kafka.log_cleaner_min_cleanable_ratio),
        "log.cleaner.min.compaction.lag.ms": str(kafka.log_cleaner_min_compaction_lag_ms),
        "log.cleanup.policy": kafka.log_cleanup_policy,
        "log.retention.bytes": str(kafka.log_retention_bytes),
        "log.retention.ms": str(kafka.log_retention_ms),
        "log.roll.ms": str(kafka.log_roll_ms),
        "log.segment.bytes": str(kafka.log_segment_bytes),
        "message.max.bytes": str(kafka.message_max_bytes),
        "group.initial.rebalance.delay.ms": str(kafka.group_initial_rebalance_delay_ms),
        "group.max.session.timeout.ms": str(kafka.group_max_session_timeout_ms),
        "group.min.session.timeout.ms": str(kafka.group_min_session_timeout_ms),
        "offset.metadata.max.bytes": str(kafka.offset_metadata_max_bytes),
        "offsets.retention.minutes": str(kafka.offsets_retention_ms // 60_000),
        "producer.id.expiration.ms": str(kafka.producer_id_expiration_ms),
        "socket.request.max.bytes": str(kafka.max_request_bytes),
    }
