"""What a broker is given once and keeps in the MetaStore: its cluster's id, and numbers that are never given out twice.

    cluster/id              22 characters, as Kafka's own
    producer_ids/next       first producer id that no broker has reserved; also in the log's state, so that a
                            MetaStore that is older than the log gives none out again
"""
from __future__ import annotations

import base64
import uuid

from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.needs import KafkaError
from robustmq.server.meta.store import Compare, MetaError, MetaStore, Put
from robustmq.server.state import StateLog

CLUSTER_ID = "cluster/id"
PRODUCER_IDS = "producer_ids/next"
BLOCK = 1000                # producer ids that one transaction reserves


async def cluster_id(meta: MetaStore, configured: str) -> str:
    """The configured one, or the one that this MetaStore keeps (made at the first start)."""
    if configured:
        return configured
    made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    await meta.txn((Compare(CLUSTER_ID, 0),), (Put(CLUSTER_ID, made.encode()),))
    kept = await meta.get(CLUSTER_ID)
    assert kept is not None
    return kept.value.decode()


class ProducerIds:
    """Producer ids, each given out once in the cluster's life; what a crash leaves of a block is skipped.

    The log remembers its producers by id: one that was given out again would be taken for the old one, and its records
    for duplicates.
    """

    def __init__(self, meta: MetaStore, state: StateLog) -> None:
        self._meta = meta
        self._state = state
        self._next = self._end = 0

    async def next(self) -> int:
        """A new id. KafkaError when nothing can be written."""
        try:
            return await self._next_id()
        except (MetaError, OSError) as error:
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, str(error)) from error

    async def _next_id(self) -> int:
        while self._next == self._end:
            kept = await self._meta.get(PRODUCER_IDS)
            first = 0 if kept is None else int(kept.value)
            if self._next != self._end:
                break                               # another task has reserved a block meanwhile
            first = max(first, self._in_log())
            await self._state.durable(self._state.state_put(PRODUCER_IDS.encode(), b"%d" % (first + BLOCK)))
            done = await self._meta.txn((Compare(PRODUCER_IDS, 0 if kept is None else kept.mod_revision),),
                                        (Put(PRODUCER_IDS, str(first + BLOCK).encode()),))
            if done.succeeded and self._next == self._end:
                self._next, self._end = first, first + BLOCK
        self._next += 1
        return self._next - 1

    def _in_log(self) -> int:
        kept = dict(self._state.state_items(PRODUCER_IDS.encode()))
        return int(kept.get(PRODUCER_IDS.encode(), b"0"))
