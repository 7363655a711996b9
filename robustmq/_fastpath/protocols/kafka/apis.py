"""The handler table: which API is served by which handler, in which versions. What ApiVersions advertises and what a
connection lets in are derived from it; the data plane adds Produce and Fetch.
"""
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from . import messages
from .frames import Message, RequestHeader
from .handlers.alter_configs import alter_configs, incremental_alter_configs
from .handlers.configs import describe_configs
from .handlers.delete_records import delete_records
from .handlers.groups import heartbeat, join_group, leave_group, sync_group
from .handlers.list_offsets import list_offsets
from .handlers.metadata import find_coordinator, metadata
from .handlers.offsets import offset_commit, offset_fetch
from .handlers.producers import init_producer_id
from .handlers.topics import create_topics, delete_topics
from .needs import Broker

Handler = Callable[[Broker, RequestHeader, Any], Awaitable[Message]]


@dataclass(frozen=True, slots=True)
class Api:
    """One API of the control plane, in all versions of its messages."""

    request: Any            # the generated request class
    handler: Handler

    @property
    def versions(self) -> tuple[int, int]:
        """Oldest and newest."""
        return self.request.VERSIONS[0], self.request.VERSIONS[-1]


HANDLERS = {api.request.API_KEY: api for api in (
    Api(messages.ListOffsetsRequest, list_offsets),
    Api(messages.MetadataRequest, metadata),
    Api(messages.OffsetCommitRequest, offset_commit),
    Api(messages.OffsetFetchRequest, offset_fetch),
    Api(messages.FindCoordinatorRequest, find_coordinator),
    Api(messages.JoinGroupRequest, join_group),
    Api(messages.HeartbeatRequest, heartbeat),
    Api(messages.LeaveGroupRequest, leave_group),
    Api(messages.SyncGroupRequest, sync_group),
    Api(messages.CreateTopicsRequest, create_topics),
    Api(messages.DeleteTopicsRequest, delete_topics),
    Api(messages.DeleteRecordsRequest, delete_records),
    Api(messages.InitProducerIdRequest, init_producer_id),
    Api(messages.DescribeConfigsRequest, describe_configs),
    Api(messages.AlterConfigsRequest, alter_configs),
    Api(messages.IncrementalAlterConfigsRequest, incremental_alter_configs),
)}
VERSIONS = messages.ApiVersionsRequest.VERSIONS

# Key -> oldest and newest version of all that the control plane serves.
COLD_APIS = {key: api.versions for key, api in HANDLERS.items()} | {
    messages.ApiVersionsRequest.API_KEY: (VERSIONS[0], VERSIONS[-1])}
