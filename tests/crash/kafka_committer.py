"""Commits growing offsets for a Kafka group, and remembers which the broker acknowledged.

Plain sockets and two requests of Kafka's protocol, so that a commit is under way at every moment of a broker's life.
"""
from __future__ import annotations

import struct
import threading

from tests.crash.kafka_wire import OFFSET_COMMIT, OFFSET_FETCH, array, ask, connect, text

GROUP = "crash-group"


def committed(port: int, topic: str) -> int:
    """The group's offset in partition 0; -1: none."""
    with connect(port) as sock:
        answer = ask(sock, OFFSET_FETCH, text(GROUP) + array(text(topic) + array(struct.pack(">i", 0))))
    _, offset = struct.unpack_from(">iq", answer, 4 + len(text(topic)) + 4)
    return int(offset)


class Committer(threading.Thread):
    """Commits 1, 2, 3, … for partition 0 of `topic`, one after the other, while `broker_up`."""

    def __init__(self, topic: str, port: int) -> None:
        super().__init__(name="kafka-committer", daemon=True)
        self.topic, self.port = topic, port
        self.sent = self.acked = 0
        self.stopping = threading.Event()
        self.broker_up = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.broker_up.wait()
            try:
                self.session()
            except OSError:
                self.broker_up.clear()

    def session(self) -> None:
        with connect(self.port) as sock:
            while not self.stopping.wait(0.002):        # one reader of many, not the load
                self.sent += 1
                partition = struct.pack(">iq", 0, self.sent) + text("")
                answer = ask(sock, OFFSET_COMMIT, text(GROUP) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1)
                             + array(text(self.topic) + array(partition)))
                if answer[-2:] == b"\0\0":              # no error: the topic exists by now
                    self.acked = self.sent

    def findings(self, port: int) -> list[str]:
        """What a broker on `port` gets wrong; none when the last acknowledged commit, or a later one, is there."""
        acked, sent = self.acked, self.sent
        found = committed(port, self.topic)
        return [] if (acked or -1) <= found <= sent else [
            f"group {GROUP}: offset {found} is committed, {acked} was acknowledged and {sent} sent"]
