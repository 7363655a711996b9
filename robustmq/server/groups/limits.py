"""Bounds and times of consumer groups; `server/config` fills them from the section `kafka`."""
from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """What a peer may ask for, and how much it can make the coordinator remember."""

    group_min_session_timeout_ms: int = 6_000
    group_max_session_timeout_ms: int = 1_800_000
    group_initial_rebalance_delay_ms: int = 3_000
    group_max_size: int = 10_000                        # members of one group, with those that only got an id
    groups_max: int = 100_000
    groups_max_bytes: int = 256 * 1024 * 1024           # metadata and assignments of all members of all groups
    offsets_retention_ms: int = 7 * DAY_MS              # after the group's last member left, or the last commit
    offsets_max: int = 1_000_000                        # committed offsets of all groups
    offset_metadata_max_bytes: int = 4_096
