"""Whether the log and the MetaStore belong together, and which of the two is older.

    directory/id        in the MetaStore: the id of the log's directory, made with it
    directory/starts    in the MetaStore, and in the log's state: starts of a broker with both

Each start counts in the log first, durably, then in the MetaStore: the log is ahead by at most the start that was
killed in between. Whoever is behind more than that was restored from a backup, or lost what it had.
"""
from __future__ import annotations

import logging
from collections.abc import Iterable

from robustmq._fastpath.stores.log import Log
from robustmq.server.errors import StartError
from robustmq.server.meta.store import MetaStore, Put
from robustmq.server.state import Space, StateLog

ID, STARTS = "directory/id", "directory/starts"
COUNTED, BEGUN = b"starts", b"begun"        # in the log: starts that both know of, and the one that the log knows of
logger = logging.getLogger(__name__)


async def settle(log: Log, meta: MetaStore) -> list[str]:
    """Tie the two together, or find them tied; sentences for the administrator. StartError: they are of two brokers."""
    if not log.directory_id:
        return []
    state = StateLog(log, Space.DIRECTORY)
    known = await meta.get(ID)
    if known is not None and known.value.decode() != log.directory_id:
        raise StartError(
            f"the metadata belongs to another directory ({known.value.decode()}) than the log ({log.directory_id}): "
            "put back journal, state, sealed and meta.sqlite of one backup, or move meta.sqlite away to go on with "
            "this log and without its configurations")
    kept = dict(state.state_items(b""))
    in_log, begun = int(kept.get(COUNTED, b"0")), int(kept.get(BEGUN, b"0"))
    counted = await meta.get(STARTS)
    in_meta = 0 if counted is None else int(counted.value)
    number = max(begun, in_meta) + 1
    await state.durable(state.state_put(BEGUN, b"%d" % number))
    await meta.txn((), (Put(ID, log.directory_id.encode()), Put(STARTS, str(number).encode())))
    state.state_put(COUNTED, b"%d" % number)
    if known is None and begun:
        return ["the metadata is new but the log is not: topics are kept, their configurations are lost"]
    if in_meta < in_log:
        return ["the metadata is older than the log: what administrators changed since then is lost, and topics that "
                "they deleted may be back without records"]
    if in_meta > begun:
        return ["the log is older than the metadata: records and offsets since then are lost, and consumers may be "
                "ahead of it"]
    return []


def report_damage(log: Log, sentences: Iterable[str]) -> None:
    """Warn of what recovery lost, at once: the next start finds it mended."""
    for sentence in [*log.recovered.get("notes", []), *sentences]:
        logger.warning(sentence)
    if log.recovered.get("gaps"):
        logger.warning("%d batches follow offsets that are lost", log.recovered["gaps"])


def report_recovery(log: Log) -> None:
    """How much there was."""
    if log.recovered.get("segments") or log.recovered.get("sealed_files"):
        logger.info("log recovered", extra={name: value for name, value in log.recovered.items() if name != "notes"})
