"""The blob store at start: known by its URL, and proven before anything is trusted to it."""
from __future__ import annotations

from robustmq.server.blob.blob import Blob, BlobError
from robustmq.server.blob.opening import open_blob
from robustmq.server.blob.probe import probe
from robustmq.server.config.sections import Tier
from robustmq.server.errors import StartError


async def open_store(config: Tier) -> Blob | None:
    """The store of tier.url, None without one. StartError: it does not answer, or does not keep its word."""
    if not config.url:
        return None
    try:
        blob = open_blob(config.url, config.timeout_ms / 1000)
        await probe(blob)
    except BlobError as error:
        raise StartError(f"tier.url: {error}") from error
    return blob
