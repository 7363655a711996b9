"""/health/ready is red when the log takes no messages, or the metadata store no changes, and says why."""
import asyncio
import json
from types import SimpleNamespace
from typing import cast

import pytest

from robustmq.server.admin.api import Api
from robustmq.server.admin.http import Request
from robustmq.server.assembly import Broker


@pytest.mark.parametrize(("log", "meta", "status", "says"), [
    ("ok", "ok", 200, ""), ("full", "ok", 503, "log is read-only: the disk is full"),
    ("failed", "ok", 503, "write error"),
    ("ok", "full", 503, "metadata store is read-only: the disk is full"),
    ("failed", "failed", 503, ". the metadata store is read-only")])
def test_ready_follows_the_log_and_the_metadata_store(log: str, meta: str, status: int, says: str) -> None:
    broker = cast(Broker, SimpleNamespace(log=SimpleNamespace(health=lambda: log, unreadable=lambda: 0),
                                          meta=SimpleNamespace(health=lambda: meta), tier=None))
    response = asyncio.run(Api(broker).serve(Request("GET", ("health", "ready"), {}, b"")))
    assert response.status == status
    assert says in json.loads(response.body).get("reason", "")


def test_a_sealed_file_that_cannot_be_read_is_told() -> None:
    """And no reason to send clients away: messages are taken, and all others served."""
    broker = cast(Broker, SimpleNamespace(log=SimpleNamespace(health=lambda: "ok", unreadable=lambda: 1),
                                          meta=SimpleNamespace(health=lambda: "ok"),
                                          tier=SimpleNamespace(problem="the store is away")))
    response = asyncio.run(Api(broker).serve(Request("GET", ("health", "ready"), {}, b"")))
    assert response.status == 200
    told = json.loads(response.body)["degraded"]
    assert told.startswith("the store is away. a sealed file of the log cannot be read")
