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
from robustmq.bench.compare import chosen, run_all
from robustmq.bench.figures import Figure, How
from robustmq.bench.figures import render as render_figures
from robustmq.bench.idle import Idle, run_all_idle
from robustmq.bench.kafka import KafkaLoad
from robustmq.bench.kafka import run as run_kafka
from robustmq.bench.mqtt import MqttLoad
from robustmq.bench.mqtt import run as run_mqtt
from robustmq.bench.peers import Peer, all_peers
from robustmq.bench.plot import write_plot
from robustmq.bench.processes import own_cores, pin, split_cores
from robustmq.bench.result import BenchError, Result
from robustmq.bench.storage import run_storage
from robustmq.bench.table import render
from robustmq.bench.topics import Many, run_all_topics


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


def kafka(args: Namespace) -> list[Result]:
    """kafka produce, consume, end-to-end."""
    produces, consumes = args.action != "consume", args.action != "produce"
    load = KafkaLoad(
        name=f"kafka {args.action}", producers=args.clients if produces else 0,
        consumers=args.clients if consumes else 0, partitions=args.partitions, payload=args.payload, batch=args.batch,
        acks=args.acks, window=args.window, rate=args.rate, fetch_bytes=args.fetch_bytes,
        preload=0 if produces else args.records, seconds=args.seconds, warmup_s=args.warmup, spin=args.spin)
    return [run_kafka(load, args.address)]


def ceiling(args: Namespace) -> list[Result]:
    """echo, relay: the server on one core, this process on the other."""
    server, client = split_cores()
    pin(client)
    load = MqttLoad(name=args.command, publishers=args.publishers, subscribers=getattr(args, "subscribers", 1),
                    payload=args.payload, batch=args.batch, rate=args.rate, window=args.window, seconds=args.seconds,
                    warmup_s=args.warmup, spin=args.spin)
    return [run_echo(load, server) if args.command == "echo" else run_relay(load, server)]


def found_peers(args: Namespace) -> list[Peer]:
    """This broker, and the peers that are installed and wanted."""
    return [peer for peer in all_peers(args.durability, args.set, args.kafka_home) if peer.found()
            and (not args.targets or any(word.lower() in peer.name.lower() for word in args.targets))]


def idle(args: Namespace) -> Sequence[Idle]:
    """Brokers with nothing to do."""
    server, client = split_cores()
    pin(client)
    return run_all_idle(found_peers(args), server, args.data_dir, args.clients, args.seconds)


def topics(args: Namespace) -> Sequence[Many]:
    """Very many topics."""
    server, client = split_cores()
    pin(client)
    return run_all_topics(found_peers(args), server, args.data_dir, args.topics, args.messages)


def storage(args: Namespace) -> Sequence[Figure]:
    """The log; prints the tables itself."""
    server, client = split_cores()
    pin(client)
    how = How(server, args.data_dir, args.seconds, args.warmup, args.gib)
    figures: list[Figure] = []
    try:
        for figure in run_storage(found_peers(args), args.parts, how):
            figures.append(figure)
    finally:                            # also what there was before a target failed
        if args.json != Path("-"):
            print(render_figures(figures))
    return figures


def compare(args: Namespace) -> list[Result]:
    """All loads on all targets; prints the table itself."""
    server, client = (frozenset[int](), frozenset[int]()) if args.no_pin else split_cores()
    contests = chosen(args.loads, args.seconds, args.warmup)
    pin(client)
    outcomes = run_all(contests, found_peers(args), server, args.data_dir, args.rounds)
    if args.json != Path("-"):
        print(render(outcomes))
    return [outcome for outcome in outcomes if isinstance(outcome, Result)]


Told = Result | Idle | Many | Figure
RUNS: dict[str, Callable[[Namespace], Sequence[Told]]] = {
    "mqtt": mqtt, "kafka": kafka, "echo": ceiling, "relay": ceiling, "idle": idle, "topics": topics,
    "storage": storage, "compare": compare}


def document(results: Sequence[Told], argv: Sequence[str]) -> str:
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
        if args.json != Path("-") and args.command not in ("compare", "storage"):
            print(*results, sep="\n")
        if args.json:
            text = document(results, argv)
            print(text) if args.json == Path("-") else args.json.write_text(text)
        if plot := getattr(args, "plot", None):             # not every command draws
            write_plot([result for result in results if isinstance(result, Result)], plot)
    except BenchError as error:
        print(f"robustmq-bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
