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
    broker = cast(Broker, SimpleNamespace(log=SimpleNamespace(health=lambda: log),
                                          meta=SimpleNamespace(health=lambda: meta), tier=None))
    response = asyncio.run(Api(broker).serve(Request("GET", ("health", "ready"), {}, b"")))
    assert response.status == status
    assert says in json.loads(response.body).get("reason", "")
