"""Eclipse's public MQTT interoperability tests against a broker of this project.

    python -m tests.interop.conformance_mqtt --suite CLONE_OF_eclipse/paho.mqtt.testing [--port 1883] [NAME …]

Without --port it starts a broker as the suite wants it: a filter that nobody may subscribe to, a cap on keep-alive, a
small receive maximum. Each test runs in a process of its own with a time limit, since some loop for ever when a broker
does not react. Prints a table; the exit status is the number of tests that did not pass.
"""
from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import launch

SUITES = {"client_test": "3.1.1", "client_test5": "5.0"}
LIMIT_S = 90
SETTINGS = {"mqtt.deny_subscribe": "test/nosubscribe", "mqtt.server_keepalive_max_s": "60",
            "mqtt.receive_maximum": "20"}
# The suites read their options behind unittest's back: run one test with its globals set instead.
RUN = """
import sys, unittest
import {module} as suite
suite.host, suite.port = "127.0.0.1", {port}
suite.topics = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
suite.wildtopics = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")
suite.nosubscribe_topics = ("test/nosubscribe",)
suite.topic_prefix = "client_test5/"
unittest.main(suite, argv=["suite", "Test.{test}"])
"""


def tests_of(source: Path) -> list[str]:
    """Names of the test methods, in the order of the file."""
    return [node.name for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]


def run(folder: Path, module: str, test: str, port: int) -> tuple[str, str]:
    """(verdict, the end of what it printed)."""
    code = RUN.format(module=module, test=test, port=port)
    try:
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=folder, capture_output=True, text=True,
                              timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return "time limit", ""
    return ("pass" if done.returncode == 0 else "FAIL"), (done.stderr + done.stdout)[-4000:]


def main() -> int:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="a clone of eclipse/paho.mqtt.testing")
    parser.add_argument("--port", type=int, default=0, help="of a broker that runs already")
    parser.add_argument("names", nargs="*", help="only tests whose name contains one of these")
    options = parser.parse_args()
    folder = options.suite / "interoperability"
    broker = None
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        if not options.port:
            broker = launch(Path(scratch) / "data", SETTINGS)
        port = options.port or (broker.mqtt[1] if broker else 0)
        try:
            for module, version in SUITES.items():
                tests = tests_of(folder / f"{module}.py")
                wanted = [t for t in tests if not options.names or any(name in t for name in options.names)]
                passed = 0
                for test in wanted:
                    start = time.monotonic()
                    verdict, tail = run(folder, module, test, port)
                    passed += verdict == "pass"
                    print(f"{version:6} {test:40} {verdict:10} {time.monotonic() - start:5.1f} s", flush=True)
                    if verdict != "pass":
                        print(tail)
                print(f"{version:6} {passed} of {len(wanted)} passed", flush=True)
                failed += len(wanted) - passed
        finally:
            if broker is not None:
                broker.stop()
    return failed


if __name__ == "__main__":
    sys.exit(main())
