"""robustmq-server: read the configuration, bring the broker up, say so, wait for a signal, take it down.

Exit status 0 after SIGTERM or SIGINT, 2 when it could not start (one line on stderr), 1 when it did not stop in time.
"""
from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable

from robustmq.server import arguments, limits, logs
from robustmq.server.config.load import load
from robustmq.server.config.render import toml
from robustmq.server.config.sections import Config
from robustmq.server.errors import StartError

STOP_S = 4.5                    # after a signal; the promise is five seconds
CANNOT_START, DID_NOT_STOP = 2, 1


def main(argv: list[str] | None = None) -> int:
    """The program; its exit status."""
    chosen = arguments.parse(argv)
    try:
        settings = list(chosen.settings)
        if chosen.data_dir is not None:
            settings.append(f"storage.data_dir={chosen.data_dir}")
        config = load(chosen.config, os.environ, settings)
        if chosen.print_config:
            print(toml(config), end="")
            return 0
        return run(config, chosen.hints, logs.start(config.log.level, config.log.format))
    except StartError as error:
        print(f"robustmq-server: {logs.printable(str(error))}", file=sys.stderr)
        return CANNOT_START
    except KeyboardInterrupt:
        return 0


def run(config: Config, hints: bool, calm: logs.Calm) -> int:
    """Serve until a signal comes."""
    import uvloop
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(config, hints, calm))
        finally:
            calm.end()
    return 0


async def serve(config: Config, hints: bool, calm: logs.Calm) -> None:
    """The broker's life. StartError."""
    from robustmq.server.assembly import Broker
    descriptors = limits.raise_descriptors()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    calm.start(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    broker = Broker(config)
    try:
        await broker.open()
        gc.collect()
        gc.freeze()             # what is here stays: later collections need not look at it
        announce(broker.listeners, hints)
        limits.tell_descriptors(descriptors, config.reactor.max_connections)
        await stop.wait()
    finally:
        in_time = end_in_time()
        await broker.close()
        in_time()


def announce(listeners: dict[str, str], hints: bool) -> None:
    """The ready line, and what to try."""
    order = [name for name in ("mqtt", "mqtt_tls", "mqtt_ws", "kafka", "http") if name in listeners]
    lines = ["robustmq ready " + " ".join(f"{name}={listeners[name]}" for name in order)]
    if hints:
        lines += hint_lines(listeners)
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())      # nobody listens; the broker runs


def hint_lines(listeners: dict[str, str]) -> list[str]:
    """Commands that publish with MQTT and read with Kafka."""
    mqtt_host, _, mqtt_port = listeners.get("mqtt", "").rpartition(":")
    lines = ["", "Try, in another terminal (mosquitto-clients, kcat, curl):"]
    if mqtt_port:
        lines.append(f"  mosquitto_pub -h {mqtt_host} -p {mqtt_port} -t hello/world -q 1 -m 'one message'")
    if "kafka" in listeners:
        lines.append(f"  kcat -b {listeners['kafka']} -C -t hello.world -o beginning -e")
    if "http" in listeners:
        lines.append(f"  curl http://{listeners['http']}/health/ready")
    return lines


def end_in_time() -> Callable[[], None]:
    """Ends the process when an orderly end takes too long; what it returns calls that off."""
    def give_up() -> None:
        print(f"robustmq-server: did not stop within {STOP_S} s; what was acknowledged is safe", file=sys.stderr)
        os._exit(DID_NOT_STOP)

    timer = threading.Timer(STOP_S, give_up)
    timer.daemon = True
    timer.start()
    return timer.cancel
