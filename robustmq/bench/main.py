"""`robustmq-bench`: the bundled load generator. The loops are compiled; Python connects, counts and tells."""
from __future__ import annotations

import json
import platform
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from robustmq.bench import arguments
from robustmq.bench.ceiling import run_echo, run_relay
from robustmq.bench.mqtt import MqttLoad
from robustmq.bench.mqtt import run as run_mqtt
from robustmq.bench.plot import write_plot
from robustmq.bench.processes import own_cores, pin, split_cores
from robustmq.bench.result import BenchError, Result


def mqtt(args: Namespace) -> list[Result]:
    """mqtt pub, sub, pubsub."""
    return [run_mqtt(mqtt_load(args), args.address)]


def mqtt_load(args: Namespace) -> MqttLoad:
    """The load that the options describe."""
    publishers = args.publishers if args.action == "pubsub" else args.clients if args.action == "pub" else 0
    subscribers = args.subscribers if args.action == "pubsub" else args.clients if args.action == "sub" else 0
    return MqttLoad(
        name=f"mqtt {args.action}", publishers=publishers, subscribers=subscribers, topics=args.topics,
        payload=args.payload, qos=args.qos, batch=args.batch, rate=args.rate, window=args.window,
        version=args.mqtt_version, prefix=args.prefix, seconds=args.seconds, warmup_s=args.warmup, spin=args.spin)


def ceiling(args: Namespace) -> list[Result]:
    """echo, relay: the server on one core, this process on the other."""
    server, client = split_cores()
    pin(client)
    load = MqttLoad(name=args.command, publishers=args.publishers, subscribers=getattr(args, "subscribers", 1),
                    payload=args.payload, batch=args.batch, rate=args.rate, window=args.window, seconds=args.seconds,
                    warmup_s=args.warmup, spin=args.spin)
    return [run_echo(load, server) if args.command == "echo" else run_relay(load, server)]


RUNS: dict[str, Callable[[Namespace], list[Result]]] = {"mqtt": mqtt, "echo": ceiling, "relay": ceiling}


def document(results: Sequence[Result], argv: Sequence[str]) -> str:
    """JSON: what ran where, and every result with its curve."""
    return json.dumps({
        "command": ["robustmq-bench", *argv],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {len(own_cores()) or '?'} cores, {platform.system()} {platform.release()}",
        "results": [result.to_json() for result in results],
    }, indent=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0; 1 when a load could not run; 2 for wrong arguments."""
    argv = sys.argv[1:] if argv is None else argv
    args = arguments.parse(argv)
    if args.core is not None:
        pin(frozenset({args.core}))
    try:
        results = RUNS[args.command](args)
        if args.json != Path("-"):
            for result in results:
                print(result)
        if args.json:
            text = document(results, argv)
            print(text) if args.json == Path("-") else args.json.write_text(text)
        if args.plot:
            write_plot(results, args.plot)
    except BenchError as error:
        print(f"robustmq-bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
