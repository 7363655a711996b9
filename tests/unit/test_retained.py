"""Retained messages that several reactors set on one topic at the same moment: the highest offset stays."""
from __future__ import annotations

import threading
from pathlib import Path

from robustmq._fastpath.broker.exchange import Exchange
from robustmq._fastpath.broker.topic import Topics
from robustmq._fastpath.stores.log import Log

from tests.batches import batch
from tests.shims.retained import retain, retained

NAME = b"a"
BATCHES = [batch([b"%04d" % number]) for number in range(2000)]


class Kept:
    """A log, its topics and their retained messages."""

    def __init__(self, directory: Path) -> None:
        self.log = Log(directory, segment_bytes=1 << 20, journal_bytes=64 << 20)
        self.topics = Topics(self.log, durability="process")
        self.exchange = Exchange(self.topics)

    def value(self) -> bytes | None:
        """Its payload."""
        found = retained(self.exchange, NAME)
        return None if found is None else found[-5:-1]

    def close(self) -> None:
        del self.exchange, self.topics
        self.log.close()


def made(directory: Path) -> Kept:
    kept = Kept(directory)
    kept.topics.create(NAME.decode())
    return kept


def test_an_older_message_that_comes_later_changes_nothing(tmp_path: Path) -> None:
    kept = made(tmp_path)
    retain(kept.exchange, NAME, [BATCHES[7]], 7, 1)
    retain(kept.exchange, NAME, [BATCHES[5]], 5, 1)
    assert kept.value() == b"0007"
    retain(kept.exchange, NAME, [None], 6, 1)
    assert kept.value() == b"0007"
    retain(kept.exchange, NAME, [None], 9, 1)
    retain(kept.exchange, NAME, [BATCHES[8]], 8, 1)
    assert kept.value() is None
    kept.close()
    kept = Kept(tmp_path)
    assert kept.value() is None
    retain(kept.exchange, NAME, [BATCHES[1]], 0, 1)
    assert kept.value() == b"0001"
    kept.close()


def test_reactors_at_the_same_moment_leave_one_message_in_memory_and_on_disk(tmp_path: Path) -> None:
    kept = made(tmp_path)
    threads = [threading.Thread(target=retain, args=(kept.exchange, NAME, BATCHES[first::3], first, 3))
               for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.value() == b"1999"
    kept.close()
    kept = Kept(tmp_path)
    assert kept.value() == b"1999"
    kept.close()
