"""Creates topics one after the other, and looks after each start whether those that were promised are there."""
from __future__ import annotations

import contextlib
import threading

from robustmq._fastpath.protocols.kafka.messages import (
    CreateTopicsRequest,
    CreateTopicsResponse,
    MetadataRequest,
    MetadataResponse,
)
from robustmq._fastpath.protocols.kafka.messages.create_topics import CreatableTopic
from robustmq._fastpath.protocols.kafka.primitives import Reader
from tests.crash.kafka_wire import METADATA, ask, connect

CREATE_TOPICS = (19, 4)


def topics(port: int) -> set[str]:
    """All that the broker knows."""
    with connect(port) as sock:
        body = bytearray()
        MetadataRequest(topics=None).encode(body, METADATA[1])
        return {topic.name for topic in MetadataResponse.decode(Reader(ask(sock, METADATA, body)), METADATA[1]).topics}


class TopicMaker(threading.Thread):
    """`made`: the topics that were acknowledged."""

    def __init__(self, port: int) -> None:
        super().__init__(name="topic-maker", daemon=True)
        self.port = port
        self.tried = 0
        self.made: set[str] = set()
        self.stopping = threading.Event()
        self.broker_up = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            self.broker_up.wait()
            with contextlib.suppress(OSError):
                self.session()
            if not self.stopping.is_set():
                self.broker_up.clear()

    def session(self) -> None:
        with connect(self.port) as sock:
            while not self.stopping.wait(0.01):         # one administrator, not the load
                name = f"made.{self.tried}"
                self.tried += 1
                body = bytearray()
                CreateTopicsRequest(topics=[CreatableTopic(name, 1, 1)]).encode(body, CREATE_TOPICS[1])
                answer = CreateTopicsResponse.decode(Reader(ask(sock, CREATE_TOPICS, body)), CREATE_TOPICS[1])
                if answer.topics[0].error_code == 0:
                    self.made.add(name)

    def findings(self, port: int) -> list[str]:
        """What a broker on `port` does not know any more."""
        made = self.made.copy()
        return [f"topic {name} was created and is gone" for name in sorted(made - topics(port))[:5]]
