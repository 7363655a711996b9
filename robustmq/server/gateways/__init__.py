"""What stands before a reactor: TLS and WebSocket.

A gateway terminates its layer on the event loop and pumps plain bytes into a socketpair; the other end is a connection
like any other to a reactor. So the data plane knows neither, and pays nothing for them.

    pump.py         two transports, back-pressure from each to the other
    tls.py          asyncio's TLS (OpenSSL) on mqtt.tls_listen
    websocket.py    wsproto's WebSocket with the subprotocol mqtt on mqtt.ws_listen
"""
