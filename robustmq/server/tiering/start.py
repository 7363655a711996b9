"""The blob store at start: known by its URL, and proven before anything is trusted to it."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from robustmq._fastpath.stores.log import Log
from robustmq.server.blob.blob import BlobError
from robustmq.server.blob.opening import open_blob
from robustmq.server.config.sections import Config
from robustmq.server.errors import StartError
from robustmq.server.meta.store import MetaStore
from robustmq.server.tiering.objects import Objects
from robustmq.server.tiering.tier import Tier
from robustmq.server.topics import TopicAdmin
from robustmq.server.turns import Turns


async def open_tier(config: Config, log: Log, meta: MetaStore, topics: TopicAdmin, cluster: str,
                    turns: Turns, tried: Callable[[], object]) -> Tier | None:
    """Tiering as configured, None when it is off. A store that does not answer now is no reason not to start, one that
    does not keep its word is. StartError.
    """
    if not config.tier.url:
        return None
    try:
        blob = open_blob(config.tier.url, config.tier.timeout_ms / 1000)
        tier = Tier(blob, log, Objects(meta, topics), topics, directory=Path(config.storage.data_dir) / "sealed",
                    cluster=cluster, cache_bytes=config.tier.cache_bytes, interval_ms=config.tier.interval_ms,
                    turns=turns, tried=tried)
        await tier.open()
    except BlobError as error:
        raise StartError(f"tier.url: {error}") from error
    topics.wait_for_arrival = tier.recalls.arrival
    return tier
