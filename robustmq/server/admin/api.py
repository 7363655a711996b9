"""The routes of http.listen.

    GET    /health/live                 200 while the event loop runs
    GET    /health/ready                200 when clients are served, the log takes messages and the MetaStore changes,
                                        else 503 and the reason; "degraded" is what does not work meanwhile
    GET    /metrics                     Prometheus text
    GET    /api/v1/status               version, uptime, listeners, numbers
    GET    /api/v1/config               every key
    GET    /api/v1/topics               names and partition counts (?prefix=, ?limit=)
    POST   /api/v1/topics               {"name", "partitions", "configs"}
    GET    /api/v1/topics/NAME          offsets of each partition
    DELETE /api/v1/topics/NAME
    GET    /api/v1/clients              MQTT sessions (?prefix=, ?limit=)
    DELETE /api/v1/clients/ID           end a session
"""
from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

from robustmq import __version__
from robustmq._fastpath.protocols.kafka.configs import why_not_configs
from robustmq._fastpath.protocols.kafka.errors import ErrorCode
from robustmq._fastpath.protocols.kafka.names import why_not_a_topic_name
from robustmq._fastpath.protocols.kafka.needs import KafkaError
from robustmq.server.admin.http import HttpError, Request, Response, as_json
from robustmq.server.admin.metrics import Source, text
from robustmq.server.health import UNREADABLE, why_not_ready

if TYPE_CHECKING:
    from robustmq.server.assembly import Broker

LIMIT = 1000                    # entries of a list that does not say how many
STATUS = {ErrorCode.TOPIC_ALREADY_EXISTS: 409, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: 404,
          ErrorCode.KAFKA_STORAGE_ERROR: 503}
Route = Callable[[Request], Awaitable[Response]]


class Api:
    """Answers requests about one broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._routes: dict[tuple[str, ...], dict[str, Route]] = {
            ("health", "live"): {"GET": self._live},
            ("health", "ready"): {"GET": self._ready},
            ("metrics",): {"GET": self._metrics},
            ("api", "v1", "status"): {"GET": self._status},
            ("api", "v1", "config"): {"GET": self._config},
            ("api", "v1", "topics"): {"GET": self._topics, "POST": self._create_topic},
            ("api", "v1", "topics", "*"): {"GET": self._topic, "DELETE": self._delete_topic},
            ("api", "v1", "clients"): {"GET": self._clients},
            ("api", "v1", "clients", "*"): {"DELETE": self._kick},
        }

    async def serve(self, request: Request) -> Response:
        """The answer to one request."""
        found = self._routes.get(request.path) or self._routes.get((*request.path[:-1], "*"))
        if found is None:
            raise HttpError(404, f"there is no /{'/'.join(request.path)}")
        route = found.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            return Response(405, headers=[("Allow", ", ".join(found))])
        try:
            return await route(request)
        except KafkaError as error:
            raise HttpError(STATUS.get(error.code, 400), str(error)) from error

    # Health

    async def _live(self, request: Request) -> Response:
        return as_json({"live": True})

    async def _ready(self, request: Request) -> Response:
        reason = why_not_ready(self._broker.log.health(), self._broker.meta.health())
        problems = [self._broker.tier.problem if self._broker.tier is not None else "",
                    UNREADABLE if self._broker.log.unreadable() else ""]
        problem = ". ".join(filter(None, problems))
        return as_json({"ready": reason is None} | ({} if reason is None else {"reason": reason})
                       | ({"degraded": problem} if problem else {}), 200 if reason is None else 503)

    async def _metrics(self, request: Request) -> Response:
        body, content_type = text(sources(self._broker))
        return Response(200, body, content_type)

    # Administration

    async def _status(self, request: Request) -> Response:
        broker = self._broker
        return as_json({
            "version": __version__, "uptime_s": round(time.monotonic() - broker.started_s, 3),
            "listeners": broker.listeners, "log": broker.log.health(), "metadata": broker.meta.health(),
            "connections": broker.reactors.connections,
            "reactors": broker.reactors.count, "topics": broker.topic_admin.count(),
            "mqtt": broker.mqtt_service.counters()})

    async def _config(self, request: Request) -> Response:
        return as_json(asdict(self._broker.config))

    async def _topics(self, request: Request) -> Response:
        listed = (topic for topic in self._broker.topic_admin.all()
                  if topic.name.startswith(request.query.get("prefix", "")))
        return as_json({"topics": [{"name": topic.name, "partitions": topic.partitions, "internal": topic.internal}
                                   for topic in islice(listed, limit_of(request))]})

    async def _topic(self, request: Request) -> Response:
        admin, name = self._broker.topic_admin, request.path[-1]
        topic = admin.find(name)
        if topic is None:
            raise HttpError(404, f"there is no topic {name!r}")
        partitions = []
        for number in range(topic.partitions):
            if (partition := admin.partition(name, number)) is not None:
                partitions.append({"number": number, "start": partition.start, "end": partition.end,
                                   "bytes": partition.size_bytes})
        return as_json({"name": topic.name, "id": topic.id.hex(), "internal": topic.internal,
                        "configs": dict(admin.configs(name)), "partitions": partitions})

    async def _create_topic(self, request: Request) -> Response:
        wanted = request.json()
        name, configs = wanted.get("name"), wanted.get("configs", {})
        partitions = wanted.get("partitions", self._broker.config.kafka.num_partitions)
        if not isinstance(name, str) or (wrong := why_not_a_topic_name(name)):
            raise HttpError(400, wrong if isinstance(name, str) and wrong else "name must be a topic name")
        if not isinstance(partitions, int) or not 1 <= partitions <= 10_000:
            raise HttpError(400, "partitions must be a number from 1 to 10000")
        if not isinstance(configs, dict) or not all(isinstance(value, str) for value in configs.values()):
            raise HttpError(400, "configs must be an object of texts")
        if wrong := why_not_configs(configs):
            raise HttpError(400, wrong)
        topic = await self._broker.topic_admin.create(name, partitions, configs, explicit=True)
        return as_json({"name": topic.name, "id": topic.id.hex(), "partitions": topic.partitions}, 201)

    async def _delete_topic(self, request: Request) -> Response:
        name = request.path[-1]
        topic = self._broker.topic_admin.find(name)
        if topic is not None and topic.internal:
            raise HttpError(403, f"topic {name!r} belongs to the broker")
        await self._broker.topic_admin.delete(name)
        self._broker.groups.forget_topic(name)
        return Response(204)

    async def _clients(self, request: Request) -> Response:
        listed = (client for client in self._broker.mqtt_service.clients()
                  if str(client["client_id"]).startswith(request.query.get("prefix", "")))
        return as_json({"clients": list(islice(listed, limit_of(request)))})

    async def _kick(self, request: Request) -> Response:
        client_id = request.path[-1]
        if not self._broker.mqtt_service.disconnect([client_id]):
            raise HttpError(404, f"there is no client {client_id!r}")
        return Response(204)


def limit_of(request: Request) -> int:
    """?limit=N."""
    raw = request.query.get("limit", str(LIMIT))
    if not raw.isascii() or not raw.isdigit():
        raise HttpError(400, f"limit = {raw!r} is not a number")
    return int(raw)


def sources(broker: Broker) -> list[Source]:
    """The counters of every part."""
    server = {"up": 1, "uptime_s": time.monotonic() - broker.started_s, "topics": broker.topic_admin.count(),
              "log_writable": int(broker.log.health() == "ok"),
              "metadata_writable": int(broker.meta.health() == "ok")}
    return [
        Source("server", [server]),
        Source("reactor", broker.reactors.counters(), "reactor"),
        Source("mqtt", broker.mqtt.counters(), "reactor"),
        Source("mqtt", [broker.mqtt_service.counters()]),
        Source("kafka", [broker.kafka.counters()]),
        Source("exchange", [broker.exchange.counters()]),
        *(Source(name if name == "sealed" else f"journal_{name}", [row]) for name, row in broker.log.stats().items()),
        Source("control", [broker.seam.counters()]),
        *([Source("tier", [broker.tier.counters()])] if broker.tier is not None else []),
    ]
