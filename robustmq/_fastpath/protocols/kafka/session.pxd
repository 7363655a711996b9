"""A Kafka connection: frames, turns, and which half serves a request.

    frame on the wire        served by
    Produce, Fetch           here (produce.pyx, fetch.pyx)
    any other advertised API the control plane: posted as FRAME without its size prefix, the connection is parked
    anything else            the connection is closed, but ApiVersions of any version, which is answered (KIP-511)

Responses leave in the order of requests. Produce requests are served on while earlier ones wait for the journal; any
other request has its turn once no response is pending. A parked connection parses nothing.
"""
from robustmq._fastpath.link cimport Protocol
from robustmq._fastpath.protocols.kafka.state cimport Session


cdef enum Post:
    FRAME = 1                       # to the control plane: a whole request without its size prefix


cdef enum Answer:
    ANSWER = 1                      # from the control plane: a response without its size prefix
    ANSWER_AND_CLOSE = 2            # the same (may be empty), then close


# A session without a link, unless mail that names it is still on its way: that mail frees it.
cdef void session_free_when_idle(Session* session) noexcept nogil

# The functions that a reactor calls; the table is the head of a Kafka (state.pxd).
cdef void session_table(Protocol* table) noexcept nogil
