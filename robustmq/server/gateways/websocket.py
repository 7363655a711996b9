"""MQTT over WebSocket: the frames' contents are one stream of bytes, whatever packets they cut [MQTT-6.0.0-1 to -4]."""
from __future__ import annotations

import asyncio

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from robustmq.server.gateways.pump import Adopt, Outer

HANDSHAKE_S = 10
SUBPROTOCOLS = ("mqtt", "mqttv3.1")


class WebSocketClient(Outer):
    """One client: the upgrade first, then frames. A frame is passed on as it comes; none is collected."""

    def __init__(self, adopt: Adopt) -> None:
        super().__init__(adopt)
        self._web = WSConnection(ConnectionType.SERVER)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._deadline = asyncio.get_running_loop().call_later(HANDSHAKE_S, self.finish)

    def data_received(self, data: bytes) -> None:
        try:
            self._web.receive_data(data)
            for event in self._web.events():
                self._on_event(event)
        except RemoteProtocolError as error:
            if error.event_hint is not None and self._web.state is ConnectionState.OPEN:
                self._write(error.event_hint)
            self.finish()
        except LocalProtocolError:
            self.finish()

    def _on_event(self, event: object) -> None:
        match event:
            case Request():
                self._upgrade(event)
            case BytesMessage():
                if self.peer is None:                                   # before the upgrade was answered
                    self.finish()
                else:
                    self.peer.send(bytes(event.data))
            case TextMessage():                                         # [MQTT-6.0.0-1]
                self._write(CloseConnection(code=CloseReason.UNSUPPORTED_DATA, reason="MQTT comes in binary frames"))
                self.finish()
            case Ping() if not self.full:                               # RFC 6455, 5.5.3: not each needs its pong
                self._write(event.response())
            case CloseConnection():
                if self._web.state is ConnectionState.REMOTE_CLOSING:
                    self._write(event.response())
                self.finish()

    def _upgrade(self, request: Request) -> None:
        chosen = next((name for name in request.subprotocols if name in SUBPROTOCOLS), None)
        if chosen is None:                                              # [MQTT-6.0.0-3]
            self._write(RejectConnection(status_code=400, headers=[(b"sec-websocket-protocol", b"mqtt")]))
            self.finish()
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._write(AcceptConnection(subprotocol=chosen))               # [MQTT-6.0.0-4]
        self.join()

    def send(self, data: bytes) -> None:
        """One binary frame for what the reactor wrote [MQTT-6.0.0-1]."""
        if self._web.state is ConnectionState.OPEN:
            self._write(BytesMessage(data=data))

    def finish(self) -> None:
        if self._web.state is ConnectionState.OPEN:
            self._write(CloseConnection(code=CloseReason.NORMAL_CLOSURE))
        super().finish()

    def _write(self, event: object) -> None:
        super().send(self._web.send(event))     # type: ignore[arg-type]

    def connection_lost(self, error: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(error)


async def listen(host: str, port: int, adopt: Adopt) -> asyncio.Server:
    """Accept. OSError when the port is taken."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: WebSocketClient(adopt), host, port, backlog=4096)
