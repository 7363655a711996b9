"""TLS on mqtt.tls_listen: the certificate is read at start, so is the bundle that clients' certificates must fit."""
from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from robustmq.server.errors import StartError
from robustmq.server.gateways.pump import Adopt, Outer

HANDSHAKE_S = 10


def context(cert: str, key: str, ca: str) -> ssl.SSLContext:
    """TLS 1.2 or later with the broker's certificate; with `ca` the client must show one as well. StartError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["mqtt"])
    for name, file in (("mqtt.tls_cert", cert), ("mqtt.tls_key", key), ("mqtt.tls_ca", ca)):
        if file and not Path(file).is_file():
            raise StartError(f'{name} = "{file}": there is no such file')
    try:
        made.load_cert_chain(cert, key or None)
    except (ssl.SSLError, OSError) as error:
        raise StartError(f'mqtt.tls_cert = "{cert}" cannot be used with its key: {error}') from error
    if ca:
        try:
            made.load_verify_locations(ca)
        except (ssl.SSLError, OSError) as error:
            raise StartError(f'mqtt.tls_ca = "{ca}" cannot be used: {error}') from error
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class TlsClient(Outer):
    """One client after its handshake."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.join()


async def listen(host: str, port: int, tls: ssl.SSLContext, adopt: Adopt) -> asyncio.Server:
    """Accept. OSError when the port is taken."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: TlsClient(adopt), host, port, ssl=tls, ssl_handshake_timeout=HANDSHAKE_S,
                                    backlog=4096)
