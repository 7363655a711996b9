"""/health/ready is red when the log takes no messages, and says why."""
import asyncio
import json
from types import SimpleNamespace
from typing import cast

import pytest

from robustmq.server.admin.api import Api
from robustmq.server.admin.http import Request
from robustmq.server.assembly import Broker


@pytest.mark.parametrize(("health", "status", "says"), [
    ("ok", 200, ""), ("full", 503, "free space"), ("failed", 503, "write error")])
def test_ready_follows_the_log(health: str, status: int, says: str) -> None:
    broker = cast(Broker, SimpleNamespace(log=SimpleNamespace(health=lambda: health), tier=None))
    response = asyncio.run(Api(broker).serve(Request("GET", ("health", "ready"), {}, b"")))
    assert response.status == status
    assert says in json.loads(response.body).get("reason", "")
