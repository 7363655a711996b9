"""Does an installed wheel work? Starts its robustmq-server, publishes with MQTT, fetches the message with Kafka.

    python wheels/ci/smoke.py

Nothing but the standard library and the wheel: MQTT's frames are written out, Kafka's come from the project's codecs.
Exit status 0 and one line when all is well.
"""
from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from robustmq import __version__
from robustmq._fastpath.protocols.kafka.messages import FetchRequest, FetchResponse
from robustmq._fastpath.protocols.kafka.messages.fetch import FetchPartition, FetchTopic
from robustmq._fastpath.protocols.kafka.primitives import Reader

FETCH, FETCH_VERSION = 1, 12
PAYLOAD = b"from MQTT to Kafka"
SECONDS = 30


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            raise AssertionError(f"the connection ended after {len(data)} of {count} bytes")
        data += part
    return data


def publish(port: int) -> None:
    """CONNECT, PUBLISH at QoS 1 to smoke/test, PUBACK."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        sock.sendall(b"\x10\x11\x00\x04MQTT\x04\x02\x00\x3c\x00\x05smoke")
        assert exactly(sock, 4) == b"\x20\x02\x00\x00", "CONNACK"
        body = struct.pack(">H", 10) + b"smoke/test" + b"\x00\x01" + PAYLOAD
        sock.sendall(b"\x32" + bytes([len(body)]) + body)
        assert exactly(sock, 4) == b"\x40\x02\x00\x01", "PUBACK"


def fetch(port: int) -> bytes:
    """The records of smoke.test from offset 0."""
    request = FetchRequest(max_wait_ms=1000, min_bytes=1, max_bytes=1 << 20, topics=[FetchTopic(
        topic="smoke.test", partitions=[FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1 << 20)])])
    out = bytearray()
    request.encode(out, FETCH_VERSION)
    client = b"smoke"
    frame = struct.pack(">hhih", FETCH, FETCH_VERSION, 7, len(client)) + client + b"\x00" + bytes(out)
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        sock.sendall(struct.pack(">i", len(frame)) + frame)
        (size,) = struct.unpack(">i", exactly(sock, 4))
        answer = exactly(sock, size)
    assert answer[:5] == struct.pack(">i", 7) + b"\x00", "response header"
    response = FetchResponse.decode(Reader(answer[5:]), FETCH_VERSION)
    partition = response.responses[0].partitions[0]
    assert partition.error_code == 0, partition
    return bytes(partition.records or b"")


def main() -> int:
    server = Path(sysconfig.get_path("scripts"), "robustmq-server")
    directory = tempfile.mkdtemp(prefix="robustmq-smoke-")
    listeners = [word for name in ("mqtt.listen", "kafka.listen", "http.listen")
                 for word in ("--set", f"{name}=127.0.0.1:0")]
    broker = subprocess.Popen([str(server), "--data-dir", directory, *listeners, "--set", "mqtt.ws_listen="],
                              stdout=subprocess.PIPE, text=True)
    try:
        assert broker.stdout is not None
        line = broker.stdout.readline()
        assert line.startswith("robustmq ready "), line
        ports = {name: int(where.rpartition(":")[2]) for name, where in (word.split("=") for word in line.split()[2:])}
        publish(ports["mqtt"])
        records = fetch(ports["kafka"])
        assert PAYLOAD in records, records
        broker.terminate()
        status = broker.wait(SECONDS)
        assert status == 0, f"exit status {status}"
    finally:
        broker.kill()
        broker.wait()
        shutil.rmtree(directory)
    print(f"smoke: robustmq {__version__} took a message with MQTT and gave it to Kafka")
    return 0


if __name__ == "__main__":
    sys.exit(main())
