"""What the load generators ask of the kernel: readiness, bytes and the time (see include/poller.h, include/net.h)."""
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "poller.h" nogil:
    enum:
        POLLER_BATCH
        READY_READ
        READY_WRITE
        READY_END
        READY_ERROR
        WATCH_LEVEL_READ
        WATCH_EDGES
    struct poller_event:
        uint64_t tag
        uint32_t ready
    int poller_open()
    int poller_add(int poller, int fd, uint64_t tag, int watch)
    int poller_wait(int poller, poller_event* events, int64_t timeout_ns)
    void poller_close(int poller)

cdef extern from "net.h" nogil:
    int net_accept(int listener)
    void net_no_delay(int fd)
    long long net_read(int fd, void* to, size_t n)
    int64_t clock_now_ns()

cdef extern from "<sys/socket.h>" nogil:
    int MSG_NOSIGNAL
    long long send(int fd, const void* p, size_t n, int flags)

cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN, EWOULDBLOCK, EINTR


cdef inline bint would_block() noexcept nogil:
    return errno == EAGAIN or errno == EWOULDBLOCK or errno == EINTR


cdef inline int64_t least(int64_t a, int64_t b) noexcept nogil:
    return a if a < b else b
