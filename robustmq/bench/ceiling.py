"""Echo and byte relay as children, and the MQTT load on them: what the kernel alone can do on this machine.

`python -m robustmq.bench.ceiling INPUTS OUTPUTS` is the child: it prints its ports and serves (relay.pyx).
"""
from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from selectors import EVENT_READ, DefaultSelector

from robustmq.bench.mqtt import MqttLoad, connect, measure
from robustmq.bench.processes import Child, Cores, charged
from robustmq.bench.relay import serve
from robustmq.bench.result import BenchError, Result

START_S = 15
HOST = "127.0.0.1"


def main() -> None:
    """The child."""
    inputs, outputs = int(sys.argv[1]), int(sys.argv[2])
    listeners = [socket.create_server((HOST, 0), backlog=1024) for _ in range(2 if outputs else 1)]
    print(*(listener.getsockname()[1] for listener in listeners), flush=True)
    with suppress(KeyboardInterrupt):
        serve(listeners[0].fileno(), listeners[1].fileno() if outputs else -1, inputs, outputs)


@contextmanager
def ceiling_server(inputs: int, outputs: int, cores: Cores) -> Iterator[tuple[Child, list[int]]]:
    """A relay (an echo, when `outputs` is 0) and its ports."""
    command = [sys.executable, "-m", "robustmq.bench.ceiling", str(inputs), str(outputs)]
    with Child(command, cores, stdout=subprocess.PIPE) as child:
        yield child, [int(port) for port in first_line(child).split()]


def first_line(child: Child, seconds: float = START_S) -> str:
    """The first line that a child prints."""
    assert child.process.stdout is not None
    with DefaultSelector() as selector:
        selector.register(child.process.stdout, EVENT_READ)
        line = child.process.stdout.readline().decode() if selector.select(seconds) else ""
    if not line:
        raise BenchError(f"{child.name} is not ready after {seconds} s: {child.said()}")
    return line


def run_echo(load: MqttLoad, cores: Cores = frozenset()) -> Result:
    """The load's publishers to an echo server and back: each connection publishes and receives."""
    load = replace(load, name="echo", subscribers=load.publishers, topics=load.publishers, qos=0)
    load.check()
    with ceiling_server(load.publishers, 0, cores) as (child, ports), ExitStack() as opened:
        connections = [opened.enter_context(connect((HOST, ports[0]))) for _ in range(load.publishers)]
        return charged(child, lambda begin: measure(load, connections, connections, "epoll echo", begin))


def run_relay(load: MqttLoad, cores: Cores = frozenset()) -> Result:
    """The load over a relay: publisher i to the subscribers j with j % publishers == i."""
    load = replace(load, topics=load.publishers, qos=0)
    load.check()
    if load.publishers < 1 or load.subscribers < load.publishers:
        raise BenchError("a relay needs at least one publisher, and a subscriber for each")
    with ceiling_server(load.publishers, load.subscribers, cores) as (child, ports), ExitStack() as opened:
        publishers = [opened.enter_context(connect((HOST, ports[0]))) for _ in range(load.publishers)]
        subscribers = [opened.enter_context(connect((HOST, ports[1]))) for _ in range(load.subscribers)]
        return charged(child, lambda begin: measure(load, publishers, subscribers, "byte relay", begin))


if __name__ == "__main__":
    main()
