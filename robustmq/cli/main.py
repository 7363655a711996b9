"""robustmq-ctl: status, topics, clients, config. Exit status 1 and one line on stderr when the broker refuses.

`storage` alone works on the files of a broker that does not run, with exit statuses of its own (storage/commands.py).
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from robustmq.cli.client import ApiError, Client
from robustmq.cli.storage import commands as storage

DEFAULT_SERVER = "http://127.0.0.1:58080"
Rows = Sequence[Sequence[object]]


def status(client: Client, chosen: argparse.Namespace) -> None:
    """What runs where."""
    show(client.call("GET", "status"), chosen.json)


def config_show(client: Client, chosen: argparse.Namespace) -> None:
    """Every key and its value."""
    show(client.call("GET", "config"), chosen.json)


def topics_list(client: Client, chosen: argparse.Namespace) -> None:
    """Names and partition counts."""
    found = client.call("GET", "topics", query={"prefix": chosen.prefix, "limit": str(chosen.limit)})
    listing(found, "topics", ("name", "partitions"), chosen.json)


def topics_create(client: Client, chosen: argparse.Namespace) -> None:
    """Create one topic."""
    body: dict[str, object] = {"name": chosen.name, "configs": dict(chosen.config)}
    if chosen.partitions is not None:
        body["partitions"] = chosen.partitions
    show(client.call("POST", "topics", body=body), chosen.json)


def topics_delete(client: Client, chosen: argparse.Namespace) -> None:
    """Delete one topic and its records."""
    client.call("DELETE", "topics", chosen.name)


def topics_describe(client: Client, chosen: argparse.Namespace) -> None:
    """Offsets of each partition, and what was configured."""
    found = client.call("GET", "topics", chosen.name)
    if chosen.json:
        show(found, True)
        return
    partitions = found.pop("partitions")
    show(found, False)
    listing({"partitions": partitions}, "partitions", ("number", "start", "end", "bytes"), False)


def clients_list(client: Client, chosen: argparse.Namespace) -> None:
    """MQTT sessions."""
    found = client.call("GET", "clients", query={"prefix": chosen.prefix, "limit": str(chosen.limit)})
    listing(found, "clients", ("client_id", "connected", "subscriptions", "reactor"), chosen.json)


def clients_kick(client: Client, chosen: argparse.Namespace) -> None:
    """End a session and its connection."""
    client.call("DELETE", "clients", chosen.client_id)


def show(found: dict[str, object], as_json: bool) -> None:
    """An object: a line for each value."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print(table([(name, value) for name, value in flat(found)]))


def flat(found: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    """Nested objects as dotted names."""
    lines: list[tuple[str, object]] = []
    for name, value in found.items():
        lines += flat(value, f"{prefix}{name}.") if isinstance(value, dict) and value else [(prefix + name, value)]
    return lines


def listing(found: dict[str, object], name: str, columns: Sequence[str], as_json: bool) -> None:
    """A list of objects: a table."""
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = found[name]
    assert isinstance(rows, list)
    print(table([columns, *([row.get(column, "") for column in columns] for row in rows)]))


def table(rows: Rows) -> str:
    """Columns as wide as what is in them. What a client chose (its id) is printed without control characters."""
    texts = [["".join(char if char.isprintable() else "?" for char in str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))] if texts else []
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in texts)


def key_value(text: str) -> tuple[str, str]:
    """KEY=VALUE of --config."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: write it as KEY=VALUE, like retention.ms=3600000")
    return name, value


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser("robustmq-ctl", description="Administers a RobustMQ broker.", allow_abbrev=False)
    made.add_argument("--server", default=os.environ.get("ROBUSTMQ_SERVER_URL", DEFAULT_SERVER), metavar="URL",
                      help=f"the broker's http.listen (ROBUSTMQ_SERVER_URL; {DEFAULT_SERVER})")
    made.add_argument("--json", action="store_true", help="print what the API answered")
    rooms = made.add_subparsers(required=True, metavar="COMMAND")
    command(rooms, "status", status)
    topics = rooms.add_parser("topics", help="list, create, delete, describe").add_subparsers(required=True)
    paged(command(topics, "list", topics_list))
    create = command(topics, "create", topics_create)
    create.add_argument("name")
    create.add_argument("--partitions", type=int, metavar="N", help="default: kafka.num_partitions")
    create.add_argument("--config", type=key_value, action="append", default=[], metavar="KEY=VALUE",
                        help="by Kafka's names, like cleanup.policy=compact")
    command(topics, "delete", topics_delete).add_argument("name")
    command(topics, "describe", topics_describe).add_argument("name")
    clients = rooms.add_parser("clients", help="list, kick").add_subparsers(required=True)
    paged(command(clients, "list", clients_list))
    command(clients, "kick", clients_kick).add_argument("client_id")
    config = rooms.add_parser("config", help="show").add_subparsers(required=True)
    command(config, "show", config_show)
    storage.add_to(rooms.add_parser("storage", help="check, dump: a data directory without its broker")
                   .add_subparsers(required=True))
    return made


def command(rooms: argparse._SubParsersAction[argparse.ArgumentParser], name: str,
            run: Callable[[Client, argparse.Namespace], None]) -> argparse.ArgumentParser:
    """A subcommand that calls `run`."""
    made = rooms.add_parser(name, help=run.__doc__, description=run.__doc__)
    made.set_defaults(run=run)
    return made


def paged(made: argparse.ArgumentParser) -> None:
    """Options of lists."""
    made.add_argument("--prefix", default="", help="only what begins with it")
    made.add_argument("--limit", type=int, default=1000, metavar="N", help="at most so many (1000)")


def main(argv: list[str] | None = None) -> int:
    """The program; its exit status."""
    chosen = parser().parse_args(argv)
    if "offline" in chosen:
        return storage.run(chosen)
    try:
        chosen.run(Client(chosen.server), chosen)
    except ApiError as error:
        print(f"robustmq-ctl: {error}", file=sys.stderr)
        return 1
    return 0
