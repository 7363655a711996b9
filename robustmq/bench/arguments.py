"""The command line of `robustmq-bench`."""
from __future__ import annotations

from argparse import Action, ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path

DESCRIPTION = """\
Load for MQTT and Kafka brokers, with honest latencies.

  robustmq-bench mqtt pubsub --batch 50                       as fast as it goes, 50 messages a write
  robustmq-bench mqtt pubsub --rate 1000 --spin --seconds 30  latency at 1,000 messages a second
  robustmq-bench mqtt pubsub --subscribers 50                 a fan-out
  robustmq-bench mqtt pub --qos 1 --window 1000 --batch 50    acknowledged messages
  robustmq-bench kafka produce --partitions 4 --clients 4     16 KiB batches, acks=all
  robustmq-bench kafka end-to-end --rate 10000                from producer to consumer
  robustmq-bench relay --batch 50                             what the kernel alone can do
  robustmq-bench idle --clients 20000                         what a broker costs that does nothing
  robustmq-bench topics --durability process                  a million topics: time, memory, files, restart
  robustmq-bench storage --kafka-home build/kafka             the log: appends, restarts, readers that catch up
  robustmq-bench compare                                      this broker and every peer found, a table of ratios
"""
EPILOG = """\
A rated load (--rate) charges a message from the time at which it was meant to be sent, so a broker that stalls pays for
all that it held up. Without a rate, a message is charged from its write. The first 8 bytes of a payload carry that
time: latencies are right when publisher and subscriber are on one machine.
"""


def positive(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def natural(text: str) -> int:
    """An integer of at least 0."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def amount(text: str) -> float:
    """A number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def duration(text: str) -> float:
    """Seconds, more than 0."""
    value = amount(text)
    if not value:
        raise ArgumentTypeError("a run of 0 seconds measures nothing")
    return value


def address(text: str) -> tuple[str, int]:
    """HOST:PORT."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


Adder = Callable[..., Action]


def shared(seconds: float | None = None, warmup_s: float | None = None, plot: bool = False) -> ArgumentParser:
    """Options of every command, and those of a command that runs for a time, warms up, has something to draw."""
    parser = ArgumentParser(add_help=False)
    add = parser.add_argument
    if seconds is not None:
        add("--seconds", type=duration, default=seconds, help=f"measured time (default {seconds:g})")
    if warmup_s is not None:
        add("--warmup", type=amount, default=warmup_s,
            help=f"seconds before it that are not counted (default {warmup_s:g})")
    add("--json", type=Path, metavar="FILE", help="write everything as JSON, - for standard output")
    if plot:
        add("--plot", type=Path, metavar="FILE", help="write a picture (PNG, SVG, PDF); needs matplotlib")
    add("--core", type=natural, help="keep this process, and what it starts, on one core")
    return parser


def rated(add: Adder) -> None:
    """Options of a load that sends."""
    add("--payload", type=natural, default=100, help="bytes of a message (default 100)")
    add("--rate", type=amount, default=0.0, help="messages a second, all senders together (default: all that goes)")
    add("--spin", action="store_true", help="never sleep while waiting: for latencies, with a core to spare")


def mqtt_options(parser: ArgumentParser, action: str) -> None:
    """mqtt pub, sub, pubsub."""
    add = parser.add_argument
    rated(add)
    add("--address", type=address, default=("127.0.0.1", 1883), help="HOST:PORT (default 127.0.0.1:1883)")
    if action == "pubsub":
        add("--publishers", type=positive, default=1)
        add("--subscribers", type=positive, default=1)
    else:
        add("--clients", type=positive, default=1, help="connections (default 1)")
    add("--topics", type=positive, default=1,
        help="publisher and subscriber i use topic i modulo this; with more topics than clients, each uses several")
    add("--qos", type=int, choices=(0, 1, 2), default=0)
    add("--batch", type=positive, default=1, help="messages per write (default 1)")
    add("--window", type=natural, default=1000,
        help="messages that a publisher has outstanding: unacknowledged (QoS 1, 2), and undelivered when this run "
             "subscribes too and has no rate (default 1000; 0 with QoS 0: no bound)")
    add("--mqtt-version", type=int, choices=(4, 5), default=4, help="4 is 3.1.1 (default)")
    add("--prefix", default="bench", help="first level of the topics (default bench)")


def kafka_options(parser: ArgumentParser, action: str) -> None:
    """kafka produce, consume, end-to-end."""
    add = parser.add_argument
    rated(add)
    add("--address", type=address, default=("127.0.0.1", 9092), help="HOST:PORT (default 127.0.0.1:9092)")
    add("--clients", type=positive, default=1, help="connections of each role; client i uses partition i modulo theirs")
    add("--partitions", type=positive, default=1, help="of the topic, which is made anew (default 1)")
    add("--batch", type=positive, default=160, help="records of one Produce request (default 160: 17 KiB of 100 bytes)")
    add("--acks", type=int, choices=(-1, 0, 1), default=-1, help="-1 is all (default)")
    add("--window", type=positive, default=5, help="requests of one producer without an answer (default 5)")
    add("--fetch-bytes", type=positive, default=1 << 20, help="most bytes of one Fetch (default 1 MiB)")
    if action == "consume":
        add("--records", type=positive, default=1_000_000,
            help="written first, then read from offset 0 again and again (default 1,000,000)")


def ceiling_options(parser: ArgumentParser, command: str) -> None:
    """echo, relay."""
    add = parser.add_argument
    rated(add)
    add("--publishers", type=positive, default=1)
    if command == "relay":
        add("--subscribers", type=positive, default=1, help="a multiple of the publishers: each feeds its share")
    add("--batch", type=positive, default=1, help="messages per write (default 1)")
    add("--window", type=natural, default=1000, help="messages that a publisher has outstanding (default 1000)")


def target_options(parser: ArgumentParser) -> None:
    """Which brokers are started, and how."""
    add = parser.add_argument
    add("--targets", nargs="+", default=[], metavar="WORD", help="only brokers whose name contains one of these")
    add("--durability", nargs="+", choices=("memory", "process", "disk"), default=["process", "disk"],
        help="what this broker promises; it runs once with each (default: process disk)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of this broker")
    add("--kafka-home", type=Path, metavar="DIR",
        help="Apache Kafka's folder, or one of its jars (`make kafka-jars` fetches them to build/kafka)")
    add("--data-dir", type=Path, metavar="DIR", help="where the brokers keep their data meanwhile (default: TMPDIR)")


def compare_options(parser: ArgumentParser) -> None:
    """compare."""
    add = parser.add_argument
    target_options(parser)
    add("--loads", nargs="+", default=[], metavar="WORD", help="only loads whose name contains one of these")
    add("--rounds", type=positive, default=1, help="run everything so often and show the medians (default 1)")
    add("--no-pin", action="store_true", help="let everybody use all cores (default: the server on the first, this "
                                              "process on the second)")


def parser() -> ArgumentParser:
    """All commands."""
    top = ArgumentParser("robustmq-bench", description=DESCRIPTION, epilog=EPILOG,
                         formatter_class=RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = shared(5, 1, plot=True)
    actions = commands.add_parser("mqtt", help="publish, subscribe, or both").add_subparsers(dest="action",
                                                                                          required=True)
    for action, text in (("pub", "publish; counts writes, or acknowledgements (QoS 1, 2)"),
                         ("sub", "subscribe; counts what others publish"),
                         ("pubsub", "both; counts deliveries")):
        mqtt_options(actions.add_parser(action, help=text, description=text, parents=[common]), action)
    actions = commands.add_parser("kafka", help="produce, consume, or both").add_subparsers(dest="action",
                                                                                            required=True)
    for action, text in (("produce", "produce; counts acknowledged records"),
                         ("consume", "consume from offset 0; counts records"),
                         ("end-to-end", "producers and consumers at the tail; counts records consumed")):
        kafka_options(actions.add_parser(action, help=text, description=text, parents=[common]), action)
    for command, text in (("echo", "round trips through an epoll echo server"),
                          ("relay", "MQTT frames through a relay that parses nothing")):
        ceiling_options(commands.add_parser(command, help=text, description=text, parents=[common]), command)
    text = "start brokers that have nothing to do: time to ready, memory, CPU, and what idle connections add"
    idle = commands.add_parser("idle", help=text, description=text, parents=[shared(5)])
    target_options(idle)
    idle.add_argument("--clients", type=natural, default=1000, help="MQTT connections (default 1000; 0: none)")
    text = "very many topics with a few messages each, over MQTT: time, memory, files, restart"
    topics = commands.add_parser("topics", help=text, description=text, parents=[shared()])
    target_options(topics)
    topics.add_argument("--topics", type=positive, default=1_000_000, help="how many (default 1,000,000)")
    topics.add_argument("--messages", type=positive, default=10, help="QoS 1 messages for each (default 10)")
    text = "the log beside Apache Kafka's: appends, acknowledgements, restarts after SIGKILL, readers that catch up"
    storage = commands.add_parser("storage", help=text, description=text, parents=[shared(5, 2)])
    target_options(storage)
    storage.add_argument("--parts", nargs="+", choices=("append", "acknowledge", "reopen"),
                         default=["append", "acknowledge", "reopen"], help="only these (default: all)")
    storage.add_argument("--gib", nargs="+", type=positive, default=[1, 10], metavar="GIB",
                         help="stored before a restart (default 1 and 10; the disk needs three times the largest)")
    text = "the same loads on this broker, on each peer that is installed and on the kernel alone"
    compare_options(commands.add_parser("compare", help=text, description=text, parents=[shared(5, 4, plot=True)]))
    return top


def parse(argv: Sequence[str]) -> Namespace:
    """The arguments; exits with status 2 and a sentence when they are wrong."""
    return parser().parse_args(argv)
