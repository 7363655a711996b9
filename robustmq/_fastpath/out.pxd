"""A connection's output: a queue of byte ranges that one writev sends.

Small things (headers, acknowledgements) are written into the tail block; payloads are referenced where they lie (a
block shared by a thousand subscribers, a journal segment). Adjacent ranges of the same owner coalesce into one iovec.

    chunks   [ref,ptr,len] [ref,ptr,len] [tail block, ptr, len]
              ^head                                         ^tail (grows in place)

Owner: the connection's reactor. An empty queue holds no memory.
"""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from robustmq._fastpath.block cimport Block, Ref


cdef struct Chunk:
    Ref* ref
    const uint8_t* data
    uint64_t len


cdef struct Out:
    Chunk* chunks           # power-of-two ring, NULL while empty
    uint32_t cap
    uint32_t head           # free-running
    uint32_t tail           # free-running
    Block* block            # where reserve() writes, NULL while empty
    uint64_t bytes          # queued and not yet sent


cdef void out_init(Out* out) noexcept nogil
cdef void out_clear(Out* out) noexcept nogil                     # drop everything, release all references

# Room for `n` contiguous bytes (n <= 64 KiB), to be followed by out_commit of at most n. NULL: memory is out.
cdef uint8_t* out_reserve(Out* out, uint32_t n) noexcept nogil
cdef void out_commit(Out* out, uint32_t n) noexcept nogil

# Copy `n` bytes of any size. False: memory is out (the connection must be closed: its stream has a hole).
cdef bint out_copy(Out* out, const uint8_t* data, uint64_t n) noexcept nogil

# Copy [data, data+n), n <= 64 KiB, out of what `ref` owns; as if queued by out_ref when its file has lost a page. False: as above.
cdef bint out_copy_of(Out* out, Ref* ref, const uint8_t* data, uint32_t n) noexcept nogil

# Queue [data, data+n), owned by `ref`; takes a reference of its own.
cdef bint out_ref(Out* out, Ref* ref, const uint8_t* data, uint64_t n) noexcept nogil

# Copy what is queued of segments that their journals have retired, so that they can be used again. False: before the last range
# that is more than `most` bytes (who looks at a mark before it queues goes above it once), or memory is out; nothing has changed.
cdef bint out_unpin(Out* out, uint64_t most) noexcept nogil

# writev until empty, EAGAIN, or `most` bytes are sent. Returns bytes sent, -1 with errno for a dead peer, or (EIO) when what
# is queued lies in a file that has lost pages (stores/guard.pxd), none of whose zeros were sent: the connection must be closed.
# *system_calls counts.
cdef long long out_flush(Out* out, int fd, uint64_t most, uint64_t* system_calls) noexcept nogil

# Returns when each writev is over that did not see a REF_FAILED stored before this call. Async-signal-safe.
cdef void out_await_flights() noexcept nogil

# The queued bytes as a flat copy, for tests and for callers that are not sockets (TLS, WebSocket, simulators):
# copies up to `cap` bytes to `to`, drops them from the queue, returns how many.
cdef uint64_t out_take(Out* out, uint8_t* to, uint64_t cap) noexcept nogil
