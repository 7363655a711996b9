"""Blob stores to test with: a directory, S3 as moto plays it, and HDFS of Hadoop's small cluster."""
from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
JARS = ROOT / "build" / "hadoop"
BUCKET = "segments"
HDFS_START_S = 60


class S3Server:
    """moto's S3 on one port, up or down; objects stay. It answers one request after the other: its check of a condition
    is not atomic.
    """

    def __init__(self) -> None:
        import logging
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1")
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self.up()
        make_bucket(self._port)

    def up(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server
        self._server = make_server("127.0.0.1", self._port, DomainDispatcherApplication(create_backend_app),
                                   threaded=False)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def down(self) -> None:
        """Connections are refused."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def s3_server() -> Iterator[str]:
    """The endpoint of an S3Server."""
    server = S3Server()
    yield server.endpoint
    server.down()


def make_bucket(port: int) -> None:
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PUT", f"/{BUCKET}")
    assert connection.getresponse().status == 200
    connection.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@cache
def have_jars() -> None:
    """Of Hadoop; they are asked for once."""
    for tool in ("java", "mvn"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: no HDFS to test with")
    if not list(JARS.glob("hadoop-client-minicluster-*.jar")):
        done = subprocess.run(["timeout", "300", "make", "hadoop-jars"], cwd=ROOT, capture_output=True, text=True,
                              check=False)
        if done.returncode:
            pytest.skip(f"Maven Central does not give Hadoop's jars: {(done.stdout + done.stderr)[-300:]}")


@contextmanager
def hdfs_cluster(directory: Path) -> Iterator[str]:
    """A NameNode and a DataNode; host:port of WebHDFS. Skips without Java, or when its jars cannot be had."""
    have_jars()
    port = free_port()
    command = ["java", "-Xmx384m", "-cp", f"{JARS}/*", "org.apache.hadoop.mapreduce.MiniHadoopClusterManager", "-nomr",
               "-format", "-nnhttpport", str(port), "-writeDetails", "details.json"]
    with (directory / "hadoop.log").open("w") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log,
                                   env={**os.environ, "HADOOP_USER_NAME": "test"})
    try:
        wait_for(directory / "details.json", process)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def wait_for(details: Path, process: subprocess.Popen[bytes]) -> None:
    """Until the cluster has written what it is."""
    import time
    limit = time.monotonic() + HDFS_START_S
    while not (details.exists() and re.search(r"namenode_port", details.read_text())):
        assert process.poll() is None and time.monotonic() < limit, (details.parent / "hadoop.log").read_text()[-2000:]
        time.sleep(0.1)


def fresh(kind: str, place: str) -> str:
    """The URL of an empty store of a kind that runs at `place`."""
    name = uuid.uuid4().hex
    return {"file": f"file://{place}/{name}", "s3": f"s3://{BUCKET}/a/{name}?endpoint={place}",
            "hdfs": f"webhdfs://{place}/a/{name}?user=test"}[kind]
