"""The classic group APIs: thin shells over the coordinator."""
from ..frames import RequestHeader
from ..messages import (
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from ..needs import Broker


async def join_group(broker: Broker, header: RequestHeader, request: JoinGroupRequest) -> JoinGroupResponse:
    """JoinGroup; a protocol that is not there is null, before v7 the empty string."""
    response = await broker.groups.join(request, header.version, header.client_id or "")
    response.protocol_name = response.protocol_name or (None if header.version >= 7 else "")
    return response


async def sync_group(broker: Broker, header: RequestHeader, request: SyncGroupRequest) -> SyncGroupResponse:
    """SyncGroup."""
    return await broker.groups.sync(request)


async def heartbeat(broker: Broker, header: RequestHeader, request: HeartbeatRequest) -> HeartbeatResponse:
    """Heartbeat."""
    return HeartbeatResponse(error_code=broker.groups.heartbeat(request))


async def leave_group(broker: Broker, header: RequestHeader, request: LeaveGroupRequest) -> LeaveGroupResponse:
    """LeaveGroup; from v3 on in batches (KIP-345)."""
    error, members = broker.groups.leave(request, header.version)
    return LeaveGroupResponse(error_code=error, members=members)
