"""One member of a classic group."""
from collections.abc import Callable
from dataclasses import dataclass

from robustmq._fastpath.protocols.kafka.messages import JoinGroupResponse, SyncGroupResponse

Joined = Callable[[JoinGroupResponse], None]
Synced = Callable[[SyncGroupResponse], None]

# A member that has been in no generation yet may wait this long for its first one before it is taken for gone.
NEW_MEMBER_TIMEOUT_MS = 300_000


@dataclass(slots=True)
class Member:
    """A consumer; `instance_id` makes it static (KIP-345)."""

    id: str
    instance_id: str | None
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: list[tuple[str, bytes]]      # name and metadata, most wanted first
    joining: Joined | None = None           # answers its JoinGroup, when one waits
    syncing: Synced | None = None           # answers its SyncGroup, when one waits
    session_deadline_ms: int = 0
    assignment: bytes = b""
    new: bool = True                        # in no generation yet
    synced: bool = False                    # asked for its assignment of this generation

    @property
    def expires(self) -> bool:
        """Whether its session runs: while it waits for others, its own silence is not its fault."""
        return self.new or (self.joining is None and self.syncing is None)

    @property
    def metadata_bytes(self) -> int:
        """What its protocols make the coordinator remember."""
        return sum(len(name) + len(metadata) for name, metadata in self.protocols)

    def metadata(self, protocol: str | None) -> bytes:
        """What it said about `protocol`."""
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")

    def answer_join(self, response: JoinGroupResponse) -> None:
        """Answer the JoinGroup that waits, when one does."""
        if self.joining is not None:
            joined, self.joining = self.joining, None
            joined(response)

    def answer_sync(self, response: SyncGroupResponse) -> None:
        """Answer the SyncGroup that waits, when one does."""
        if self.syncing is not None:
            synced, self.syncing = self.syncing, None
            synced(response)
