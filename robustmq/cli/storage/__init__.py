"""robustmq-ctl storage: what is in a data directory, byte by byte, without a broker. Nothing here writes.

    found.py        what a walk over a file finds: batches, other entries, damage
    journal.py      docs/formats/journal.md
    sealed.py       docs/formats/sealed.md
    directory.py    all files of a data directory; the lock
    streams.py      what the entries of a stream must be to each other
    commands.py     check and dump

It reads the formats by their pages, and shares no code with the broker but the CRC: two readers that must agree.
"""
