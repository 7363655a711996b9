"""kafka-python's own integration tests against a broker of this project.

    python -m tests.interop.conformance_kafka --suite CLONE_OF_dpkp/kafka-python [--bootstrap HOST:PORT] [NAME …]

Without --bootstrap it starts a broker as the suite wants it: four partitions, sessions from one second on. Tests of
APIs that this broker does not have are listed with the API and not run. The exit status is the number of failed tests.
"""
from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.conftest import launch

FOLDER = "test/integration"
FILES = ("test_consumer_integration.py", "test_producer_integration.py", "test_admin_integration.py")
LIMIT_S = 900
SETTINGS = {"kafka.num_partitions": "4", "kafka.group_min_session_timeout_ms": "1000",
            "kafka.group_initial_rebalance_delay_ms": "0"}
KAFKA_VERSION = "4.2.0"
# Test -> the API, or what else, that this broker does not have.
NOT_HERE = {
    "test_transactional_producer_messages": "transactions",
    "test_transactional_producer_offsets": "transactions",
    "test_create_describe_delete_acls": "DescribeAcls",
    "test_describe_group_exists": "DescribeGroups",
    "test_delete_groups": "DeleteGroups",
    "test_delete_groups_with_errors": "DeleteGroups",
    "test_delete_records": "DeleteRecords",
    "test_delete_records_with_errors": "DeleteRecords",
    "test_create_partitions": "CreatePartitions",
    "test_elect_leaders": "ElectLeaders",
    "test_describe_log_dirs": "DescribeLogDirs",
    "test_alter_replica_log_dirs": "AlterReplicaLogDirs",
    "test_describe_metadata_quorum": "DescribeQuorum",
    "test_alter_partition_reassignments": "AlterPartitionReassignments",
    "test_list_partition_reassignments": "ListPartitionReassignments",
    "test_describe_topic_partitions": "DescribeTopicPartitions",
    "test_describe_topic_partitions_pagination": "DescribeTopicPartitions",
    "test_list_config_resources": "ListConfigResources",
}


def run(suite: Path, bootstrap: str, names: list[str], scratch: Path) -> list[tuple[str, str, str]]:
    """(test, verdict, message) of each test that was run."""
    report = scratch / "report.xml"
    environment = {**os.environ, "KAFKA_URI": f"kafka://{bootstrap}", "KAFKA_VERSION": KAFKA_VERSION,
                   "KAFKA_ROOT": str(scratch)}
    left_out = [f"--deselect={FOLDER}/{file}::{test}" for file in FILES for test in NOT_HERE]
    chosen = ["-k", " or ".join(names)] if names else []
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-o", "log_level=ERROR", "-W", "ignore", "--tb=short",
         "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:asyncio", f"--junitxml={report}", *left_out,
         *chosen, *(f"{FOLDER}/{file}" for file in FILES)],
        cwd=suite, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT_S, check=False)
    results = []
    for case in ElementTree.parse(report).iter("testcase"):
        bad = next((part for part in case if part.tag in ("failure", "error")), None)
        skipped = case.find("skipped")
        verdict = "FAIL" if bad is not None else "skip" if skipped is not None else "pass"
        said = bad if bad is not None else skipped
        results.append((case.get("name", ""), verdict, "" if said is None else said.get("message", "")))
    return results


def main() -> int:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="a clone of dpkp/kafka-python")
    parser.add_argument("--bootstrap", default="", help="of a broker that runs already")
    parser.add_argument("names", nargs="*", help="only tests whose name contains one of these")
    options = parser.parse_args()
    broker = None
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        if not options.bootstrap:
            broker = launch(scratch / "data", SETTINGS)
        try:
            bootstrap = options.bootstrap or (broker.bootstrap if broker else "")
            results = run(options.suite.resolve(), bootstrap, options.names, scratch)
        finally:
            if broker is not None:
                broker.stop()
    for test, verdict, message in results:
        print(f"{test:90} {verdict} {message.splitlines()[0] if message else ''}")
    for test, api in sorted(NOT_HERE.items()) if not options.names else ():
        print(f"{test:90} not here: {api}")
    count = {verdict: sum(each == verdict for _, each, _ in results) for verdict in ("pass", "skip", "FAIL")}
    print(f"{count['pass']} passed, {count['FAIL']} failed, {count['skip']} skipped by the suite, "
          f"{0 if options.names else len(NOT_HERE)} of APIs that are not here")
    return count["FAIL"]


if __name__ == "__main__":
    sys.exit(main())
