"""The cold half of Kafka: every API but Produce and Fetch. A connection's session parks it and posts the request; the
answer that is given here wakes it.
"""
import logging
from collections.abc import Callable
from struct import Struct

from .apis import COLD_APIS, HANDLERS
from .frames import API_VERSIONS, Message, RequestHeader, encode_response
from .handlers.versions import api_versions, unsupported_version
from .messages import ApiVersionsRequest
from .needs import Broker
from .primitives import Malformed, Reader

FRAME = 1                               # from the session: a whole request without its size
ANSWER, ANSWER_AND_CLOSE = 1, 2         # to the session: a whole response without its size
REQUEST_ELEMENTS_MAX = 200_000          # of all arrays: what can be decoded before others wait too long
Answer = Callable[[int, int, bytes], None]

_PREFIX = Struct(">hhi")
FLEXIBLE_FROM = {key: api.request.FLEXIBLE_FROM for key, api in HANDLERS.items()} | {
    API_VERSIONS: ApiVersionsRequest.FLEXIBLE_FROM}
log = logging.getLogger(__name__)


class KafkaCold:
    """Serves what the reactors post. `answer(link_id, kind, payload)` reaches the session; a link that is gone drops
    it.
    """

    def __init__(self, broker: Broker, answer: Answer) -> None:
        self.broker = broker
        self.answer = answer
        self.served = {**COLD_APIS, **broker.hot_apis}

    async def on_frame(self, link_id: int, kind: int, payload: bytes) -> None:
        """One post of a session. What is no request, or one that is not served, closes the connection as Kafka does."""
        if kind != FRAME:
            return
        try:
            response = await self._respond(payload)
        except Malformed as error:
            log.info("kafka: closing link %d: %s", link_id, error)
            self.answer(link_id, ANSWER_AND_CLOSE, b"")
        except Exception:
            log.exception("kafka: a handler failed on link %d; closing it", link_id)
            self.answer(link_id, ANSWER_AND_CLOSE, b"")
        else:
            self.answer(link_id, ANSWER, response)

    async def _respond(self, frame: bytes) -> bytes:
        reader = Reader(frame, elements=REQUEST_ELEMENTS_MAX)
        key, version, correlation_id = reader.fixed(_PREFIX)
        low, high = COLD_APIS.get(key, (0, -1))
        if key == API_VERSIONS and not low <= version <= high:
            return encode_response(unsupported_version(self.served), 0, correlation_id)
        if not low <= version <= high:
            raise Malformed(f"API {key} version {version} is not served")
        reader.pos = 0
        header = RequestHeader.decode(reader, FLEXIBLE_FROM)
        response: Message
        if key == API_VERSIONS:
            response = api_versions(ApiVersionsRequest.decode(reader, version), version, self.served)
        else:
            api = HANDLERS[key]
            response = await api.handler(self.broker, header, api.request.decode(reader, version))
        return encode_response(response, version, correlation_id)
