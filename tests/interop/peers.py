"""Builds and runs the peers that are not Python (tests/interop/peers/README.md)."""
from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "interop"
SECONDS = 120


@dataclass(frozen=True)
class Record:
    """A Kafka record as every client must see it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)

    def to_json(self) -> str:
        return json.dumps({"key": encode(self.key), "value": encode(self.value),
                           "headers": [[name, encode(value)] for name, value in self.headers]})

    @staticmethod
    def from_json(line: str) -> Record:
        raw = json.loads(line)
        headers = [(name, decode(value)) for name, value in raw["headers"]]
        return Record(decode(raw["key"]), decode(raw["value"]), headers)


def encode(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


def decode(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def need(tool: str, why: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed: {why}")


def build(*command: str, cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@cache
def java() -> list[str]:
    need("mvn", "the Java client comes from Maven Central")
    need("javac", "the Java peer is compiled here")
    target = BUILD / "java"
    libs = target / "libs"
    if not (target / "Peer.class").exists():
        target.mkdir(parents=True, exist_ok=True)
        build("mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={libs}", cwd=SOURCES / "java")
        build("javac", "-cp", f"{libs}/*", "-d", str(target), "Peer.java", cwd=SOURCES / "java")
    return ["java", "-Xmx256m", "-cp", f"{target}:{libs}/*", "Peer"]


@cache
def kafka_tool(name: str) -> list[str]:
    """A class of Kafka's own command-line tools, below org.apache.kafka.tools. They come with its broker's jars."""
    need("java", "Kafka's console tools are Java")
    jars = BUILD.parent / "kafka"
    if not any(jars.glob("kafka-tools-*.jar")):
        need("mvn", "Kafka's console tools come from Maven Central")
        build("make", "kafka-jars", cwd=ROOT)
    return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", f"org.apache.kafka.tools.{name}"]


@cache
def node(program: str) -> list[str]:
    need("npm", "kafkajs and MQTT.js come from the npm registry")
    target = BUILD / "node"
    if not (target / "node_modules").exists():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(SOURCES / "node" / "package.json", target)
        build("npm", "install", "--no-audit", "--no-fund", cwd=target)
    for source in (SOURCES / "node").glob("*.mjs"):
        shutil.copy(source, target)
    return ["node", str(target / program)]


@cache
def go() -> list[str]:
    need("go", "franz-go is compiled here")
    target = BUILD / "go" / "peer"
    target.parent.mkdir(parents=True, exist_ok=True)
    build("go", "build", "-o", str(target), ".", cwd=SOURCES / "go")
    return [str(target)]


# Name -> (how to start it, the codecs that it writes and reads as shipped).
KAFKA_PEERS: dict[str, tuple[Callable[[], list[str]], list[str]]] = {
    "java": (java, ["none", "gzip", "snappy", "lz4", "zstd"]),
    "franz-go": (go, ["none", "gzip", "snappy", "lz4", "zstd"]),
    "kafkajs": (lambda: node("kafka.mjs"), ["none", "gzip"]),
}


def run(command: list[str], *arguments: str, stdin: str = "") -> str:
    """Run a peer to its end; what it printed, or an AssertionError with its complaint."""
    done = subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True, timeout=SECONDS,
                          check=False)
    assert done.returncode == 0, f"{command[0]} {' '.join(arguments)}: {done.stderr[-3000:]}"
    return done.stdout


def produce(peer: str, bootstrap: str, topic: str, codec: str, records: list[Record]) -> None:
    run(KAFKA_PEERS[peer][0](), "produce", bootstrap, topic, codec, stdin="".join(r.to_json() + "\n" for r in records))


def consume(peer: str, bootstrap: str, topic: str, count: int, group: str | None = None) -> list[Record]:
    arguments = ["group", bootstrap, topic, str(count), group] if group else ["consume", bootstrap, topic, str(count)]
    return [Record.from_json(line) for line in run(KAFKA_PEERS[peer][0](), *arguments).splitlines()]
