"""A child of test_journal_kill: appends from several threads until it is killed, and says what was promised.

    journal_writer.py DIR REPORT

REPORT is a file of one slot of 8 bytes per stream, mapped: the number of appends that have returned. A store into the
mapping survives SIGKILL of this process as the journal's own bytes do.
"""
from __future__ import annotations

import mmap
import sys
import threading
from pathlib import Path

from robustmq._fastpath.stores.log import Log

from tests.batches import batch

STREAMS = 4


def main() -> None:
    log = Log(sys.argv[1], segment_bytes=1 << 20, journal_bytes=16 << 20)
    with Path(sys.argv[2]).open("r+b") as file:
        # Items of a memoryview are stored whole; struct.pack_into would clear the slot first.
        report = memoryview(mmap.mmap(file.fileno(), STREAMS * 8)).cast("Q")
    known = {row[2]: row[3] for row in log.streams()}

    def run(number: int) -> None:
        part = log.partition(known[number]) if number in known else log.create_stream("t", bytes(16), number, 1)
        count = part.end
        if count:           # the last append of the life before may have lacked its report
            log.state_put(number, b"count", b"%d" % (count - 1))
            report[number] = count
        while True:
            value = b"%d" % count + b"." * (count * 37 % (5000 if number else 100))
            offset, _ = part.append(batch([value], producer=number, epoch=0, sequence=count))
            if offset != count:
                raise SystemExit(f"offset {offset} instead of {count}")
            log.state_put(number, b"count", b"%d" % count)
            count += 1
            report[number] = count

    threads = [threading.Thread(target=run, args=(number,)) for number in range(STREAMS)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
