"""The control plane: everything that happens per connection, per topic or per minute, on one event loop.

    main.py, arguments.py, limits.py    the program robustmq-server
    assembly.py                         the composition root: all parts, in order
    seam.py                             frames that reactors hand over, to the cold half of their protocol
    topics.py, identity.py, state.py    topics for administrators, ids, state tables
    config/ meta/ groups/               configuration, MetaStore, consumer groups
    gateways/ admin/ logs.py            TLS and WebSocket, HTTP, the broker's own log
"""
