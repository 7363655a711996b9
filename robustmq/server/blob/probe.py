"""Whether a blob store keeps its word: tried once, before anything is trusted to it.

Some stores take a conditional PUT and ignore the condition. There a broker that was thought dead could overwrite what
its successor wrote, and nobody would be told.
"""
from __future__ import annotations

import uuid
from contextlib import suppress

from robustmq.server.blob.blob import Blob, BlobBroken, BlobError, BlobExists


async def probe(blob: Blob) -> None:
    """Write, refuse to overwrite, read back, list and delete one small object. BlobBroken, BlobError."""
    key = f"probe/{uuid.uuid4().hex}"
    first, second = b"first " + key.encode(), b"second " + key.encode()
    await blob.put(key, first)
    try:
        try:
            await blob.put(key, second)
        except BlobExists:
            pass
        else:
            raise BlobBroken(f"{blob.url} overwrites objects although it is told to create them only; tiering needs a "
                             "store that honours conditional writes (If-None-Match): upgrade it, or use another one")
        if await blob.get_range(key, 0, 2 * len(first)) != first:
            raise BlobBroken(f"{blob.url} does not return what was written to it; use another store")
        if key not in [item.key for item in await blob.list("probe")]:
            raise BlobBroken(f"{blob.url} does not list what was written to it; allow listing, or use another store")
    finally:
        with suppress(BlobError):
            await blob.delete(key)
