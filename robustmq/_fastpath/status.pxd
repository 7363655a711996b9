"""The one status enum of the data plane.

A function returns what happened; each protocol has one table that maps a status to its own wire code (a status without
a row fails a test). Three families are kept apart because three different parties are at fault.
"""

cdef enum Status:
    OK = 0
    NEED_MORE = 1          # a whole frame is not there yet; nothing was consumed
    PARKED = 2             # the control plane has the frame; no further frame is parsed until it answers
    ELSEWHERE = 3          # the records are in the blob store; they were asked for, waiters get mail when they are here

    # The peer's fault: answer in the protocol's own words, or close.
    MALFORMED = 16         # bytes that the specification forbids
    TOO_LARGE = 17         # beyond a configured bound
    PROTOCOL_ERROR = 18    # well-formed, but not now
    UNSUPPORTED = 19       # an API, version or feature that is not advertised
    CORRUPT = 20           # a checksum does not match
    NOT_AUTHORIZED = 21
    UNKNOWN_TOPIC = 22
    INVALID_TOPIC = 23
    OUT_OF_RANGE = 24      # an offset before the log's start or past its end
    DUPLICATE = 25         # an idempotent producer's batch that is already stored: success with the old offset
    OUT_OF_ORDER = 26      # a gap in a producer's sequence
    STALE_EPOCH = 27       # a producer epoch below the current one
    INVALID_RECORD = 28
    QUOTA = 29             # a bound on this peer is reached (receive maximum, queue, sessions)
    TIMED_OUT = 30         # keep-alive, stalled write, handshake
    PEER_CLOSED = 31
    TAKEN_OVER = 32        # the same client identifier connected again
    SHUTTING_DOWN = 33
    ADMIN_CLOSED = 34

    # The disk's fault: sticky; the log turns read-only.
    STORE_FULL = 48
    STORE_FAILED = 49
    READ_ONLY = 50

    # Ours.
    NO_MEMORY = 64
    INTERNAL = 65
