"""The command line of robustmq-server."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from robustmq import __version__

EPILOG = """\
With no arguments: MQTT on 127.0.0.1:1883 (WebSocket on 8083), Kafka on 127.0.0.1:9092, health, metrics and
administration on http://127.0.0.1:58080, data in ./robustmq-data. When clients are accepted, one line says where:

  robustmq ready mqtt=127.0.0.1:1883 mqtt_ws=127.0.0.1:8083 kafka=127.0.0.1:9092 http=127.0.0.1:58080

examples:
  robustmq-server --set mqtt.listen=0.0.0.0:1883 --set kafka.advertised=broker.example:9092
  robustmq-server --set storage.store=memory            # nothing on disk
  robustmq-server --set storage.durability=process      # survives a crash of the broker, not power loss
  robustmq-server --print-config > robustmq.toml        # all keys, their defaults, what they mean

A key can also come from a file ([mqtt] listen = "…") or the environment (ROBUSTMQ_MQTT_LISTEN=…); the command line
wins. An empty listener is off. SIGTERM or Ctrl-C: stop accepting, flush, exit. Exit status 2: could not start, and
one line on stderr says why.
"""


class Parser(argparse.ArgumentParser):
    """argparse, with its errors on one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}; {self.prog} --help says more", file=sys.stderr)
        sys.exit(2)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """config, data_dir, settings, print_config, hints."""
    parser = Parser("robustmq-server", description="One broker, one log: MQTT and Kafka clients on the same messages.",
                    epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="configuration file")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where messages live (storage.data_dir)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", dest="settings",
                        help="set one key; as often as needed")
    parser.add_argument("--print-config", action="store_true", help="print what would be used as TOML, and exit")
    parser.add_argument("--hints", action="store_true", help="after the ready line print three commands to try")
    parser.add_argument("--version", action="version", version=f"robustmq {__version__}")
    return parser.parse_args(argv)
