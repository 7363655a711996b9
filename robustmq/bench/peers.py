"""The brokers that a comparison starts: each a child of its own, on free ports of 127.0.0.1, with data in a directory
that is gone afterwards. A peer takes part when its program is installed.
"""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from robustmq.bench.ceiling import first_line
from robustmq.bench.mqtt import Address
from robustmq.bench.net_wait import pause
from robustmq.bench.processes import Child, Cores
from robustmq.bench.result import BenchError

HOST = "127.0.0.1"
RIVAL = "Apache Kafka"          # the peer that the storage is held against
START_S = 60
FORMAT_S = 60


@dataclass(frozen=True)
class Setup:
    """How one peer is started in `directory`: the command, and what must answer before it is ready."""

    command: Sequence[str]
    listeners: dict[str, Address]               # by protocol: mqtt, kafka
    env: dict[str, str] = field(default_factory=dict)
    ready_line: bool = False                    # it prints its listeners itself


@dataclass(frozen=True)
class Peer:
    """A broker to compare. `prepare` writes its configuration; `found` says whether it is installed."""

    name: str
    protocols: frozenset[str]
    found: Callable[[], bool]
    prepare: Callable[[Path], Setup]
    keeps: bool = True              # messages outlive the process


@contextmanager
def started(peer: Peer, cores: Cores, data_dir: Path | None = None) -> Iterator[tuple[Child, dict[str, Address]]]:
    """A peer with a directory that goes with it."""
    with (TemporaryDirectory(prefix="robustmq-bench-", dir=data_dir, ignore_cleanup_errors=True) as directory,
          running(peer, cores, Path(directory)) as found):
        yield found


@contextmanager
def running(peer: Peer, cores: Cores, directory: Path) -> Iterator[tuple[Child, dict[str, Address]]]:
    """A peer over what `directory` holds, that accepts connections; BenchError when it does not within START_S."""
    setup = peer.prepare(directory)
    with Child(setup.command, cores, setup.env, subprocess.PIPE if setup.ready_line else None) as child:
        if setup.ready_line:
            yield child, read_ready(first_line(child, START_S))
        else:
            for address in setup.listeners.values():
                await_listener(child, address)
            yield child, setup.listeners


def await_listener(child: Child, address: Address) -> None:
    """Until somebody accepts there."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if child.process.poll() is not None:
            raise BenchError(f"{child.name} ended with {child.process.returncode}: {child.said()}")
        try:
            socket.create_connection(address, timeout=1).close()
            return
        except OSError:
            pause(0.05)
    raise BenchError(f"{child.name} does not listen on port {address[1]} after {START_S} s: {child.said()}")


def read_ready(line: str) -> dict[str, Address]:
    """`robustmq ready mqtt=127.0.0.1:1883 …`."""
    words = line.split()
    if words[:2] != ["robustmq", "ready"]:
        raise BenchError(f"not a ready line: {line.strip()}")
    pairs = (word.partition("=") for word in words[2:])
    return {name: (address.rpartition(":")[0], int(address.rpartition(":")[2])) for name, _, address in pairs}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def installed(program: str) -> str | None:
    """Where a program is; sbin counts although it is not on everybody's PATH."""
    return shutil.which(program) or shutil.which(program, path="/usr/local/sbin:/usr/sbin:/sbin")


def listens(protocol: str) -> tuple[int, dict[str, Address]]:
    """A free port and the listeners entry for it."""
    port = free_port()
    return port, {protocol: (HOST, port)}


def robustmq(durability: str, settings: Sequence[str]) -> Peer:
    """This broker, with what it promises in its name."""
    def prepare(directory: Path) -> Setup:
        chosen = [*(f"{name}.listen={HOST}:0" for name in ("mqtt", "kafka", "http")), "mqtt.ws_listen=",
                  f"storage.durability={durability}", *settings]
        return Setup([sys.executable, "-m", "robustmq.server", "--data-dir", str(directory / "data"),
                      *(word for setting in chosen for word in ("--set", setting))], {}, ready_line=True)
    return Peer(f"robustmq ({durability})", frozenset({"mqtt", "kafka"}), lambda: True, prepare, durability != "memory")


def mosquitto(directory: Path) -> Setup:
    """Windows wider than its defaults, so that it is not the client's window that is measured."""
    port, listeners = listens("mqtt")
    config = directory / "mosquitto.conf"
    config.write_text(f"listener {port} {HOST}\nallow_anonymous true\nlog_type error\nset_tcp_nodelay true\n"
                      "max_inflight_messages 1000\nmax_queued_messages 100000\n")
    return Setup([str(installed("mosquitto")), "-c", str(config)], listeners)


def nanomq(directory: Path) -> Setup:
    """NanoMQ from its own configuration format."""
    port, listeners = listens("mqtt")
    config = directory / "nanomq.conf"
    config.write_text(f'listeners.tcp {{ bind = "{HOST}:{port}" }}\nlog {{ to = [console], level = error }}\n')
    return Setup([str(installed("nanomq")), "start", "--conf", str(config)], listeners)


def emqx(directory: Path) -> Setup:
    """EMQX with one listener and no dashboard."""
    port, listeners = listens("mqtt")
    others = {f"EMQX_LISTENERS__{kind}__DEFAULT__ENABLE": "false" for kind in ("SSL", "WS", "WSS")}
    return Setup([str(installed("emqx")), "foreground"], listeners, {
        **others, "EMQX_LISTENERS__TCP__DEFAULT__BIND": f"{HOST}:{port}", "EMQX_NODE__DATA_DIR": str(directory),
        "EMQX_DASHBOARD__LISTENERS__HTTP__BIND": "0", "EMQX_LOG__CONSOLE__LEVEL": "error"})


def nats(directory: Path) -> Setup:
    """NATS with JetStream, which its MQTT needs."""
    port, listeners = listens("mqtt")
    config = directory / "nats.conf"
    config.write_text(f'server_name: bench\nlisten: "{HOST}:{free_port()}"\njetstream {{ store_dir: "{directory}" }}\n'
                      f"mqtt {{ host: {HOST}, port: {port} }}\n")
    return Setup([str(installed("nats-server")), "-c", str(config)], listeners)


def rabbitmq(directory: Path) -> Setup:
    """RabbitMQ with its MQTT plugin."""
    port, listeners = listens("mqtt")
    config = directory / "rabbitmq.conf"
    config.write_text(f"listeners.tcp.default = {free_port()}\nmqtt.listeners.tcp.default = {HOST}:{port}\n"
                      "mqtt.allow_anonymous = true\nlog.console.level = error\n")
    plugins = directory / "enabled_plugins"
    plugins.write_text("[rabbitmq_mqtt].")
    # Erlang's name server as a child of ours: the one that Erlang starts itself stays behind as a daemon.
    return Setup(["/bin/sh", "-c", 'epmd & exec "$0"', rabbitmq_program()], listeners, {
        "RABBITMQ_CONFIG_FILE": str(config), "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins), "HOME": str(directory),
        "RABBITMQ_MNESIA_BASE": str(directory), "RABBITMQ_LOG_BASE": str(directory),
        "RABBITMQ_NODENAME": f"bench-{os.getpid()}@localhost", "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(free_port())})


def rabbitmq_program() -> str:
    """Debian's own script beneath its wrapper, which changes to a user that may not read our directory."""
    debian = "/usr/lib/rabbitmq/bin/rabbitmq-server"
    return debian if os.access(debian, os.X_OK) else str(installed("rabbitmq-server"))


def kafka_jars(home: Path | None) -> Path | None:
    """The folder of Apache Kafka's jars: `home` itself, or its libs."""
    for folder in (home, home / "libs") if home else ():
        if any(folder.glob("kafka_2*.jar")):
            return folder
    return None


def apache_kafka(home: Path | None) -> Peer:
    """Apache Kafka (KRaft, one node) with the heap that its own start script gives it."""
    def java(*words: str) -> list[str]:
        return [str(installed("java")), "-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-cp", f"{kafka_jars(home)}/*", *words]

    def prepare(directory: Path) -> Setup:
        port, listeners = listens("kafka")
        controller = free_port()
        config = directory / "server.properties"
        config.write_text(
            "process.roles=broker,controller\nnode.id=1\n"
            f"controller.quorum.voters=1@{HOST}:{controller}\n"
            f"listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}\n"
            f"controller.listener.names=CONTROLLER\nlog.dirs={directory / 'data'}\n"
            "offsets.topic.replication.factor=1\ngroup.initial.rebalance.delay.ms=0\n")
        formatted = subprocess.run(java(
            "kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", "cm9idXN0bXEtYmVuY2gtMQ",
            "-c", str(config)), capture_output=True, timeout=FORMAT_S, check=False)
        if formatted.returncode:
            raise BenchError(f"Kafka's storage cannot be formatted: {formatted.stderr.decode()[-500:]}")
        return Setup(java("kafka.Kafka", str(config)), listeners)

    return Peer(RIVAL, frozenset({"kafka"}), lambda: bool(installed("java") and kafka_jars(home)), prepare)


def all_peers(durabilities: Sequence[str], settings: Sequence[str], kafka_home: Path | None) -> list[Peer]:
    """This broker first; then all that could take part."""
    mqtt = frozenset({"mqtt"})
    programs = (("Mosquitto", "mosquitto", mosquitto), ("NanoMQ", "nanomq", nanomq), ("EMQX", "emqx", emqx),
                ("NATS", "nats-server", nats), ("RabbitMQ", "rabbitmq-server", rabbitmq))
    return [*(robustmq(durability, settings) for durability in durabilities),
            *(Peer(name, mqtt, lambda program=program: installed(program) is not None, prepare)     # type: ignore[misc]
              for name, program, prepare in programs),
            apache_kafka(kafka_home)]
