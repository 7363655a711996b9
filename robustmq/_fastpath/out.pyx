"""The output queue's slow half: growing, flushing, dropping."""
from libc.errno cimport EAGAIN, EFAULT, EINTR, EIO, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from robustmq._fastpath.block cimport (
    Block, Ref, block_data, block_new, ref_failed, ref_holds, ref_release, ref_retain, ref_retired,
)
from robustmq._fastpath.platform cimport memory_touch, set_errno


cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len

    long long writev(int fd, const iovec* iov, int count)

cdef extern from "flights.h" nogil:
    void flight_begin()
    void flight_end()
    void flights_await()


cdef enum:
    FIRST_CHUNKS = 16           # 384 bytes: a block of the smallest class
    FLUSH_IOVECS = 1024         # IOV_MAX; on loopback an iovec costs half as much as in calls of 64
    COPY_BELOW = 512            # an iovec of its own costs 250-450 ns there, as much as copying about 700 bytes
    FIRST_BLOCK = 512
    LARGEST_BLOCK = 64 << 10


cdef void out_init(Out* out) noexcept nogil:
    out.chunks = NULL
    out.cap = 0
    out.head = 0
    out.tail = 0
    out.block = NULL
    out.bytes = 0


# The ring lives in a block, so that the pool serves it.
cdef inline Block* ring_block(Out* out) noexcept nogil:
    return <Block*>(<uint8_t*>out.chunks - sizeof(Block))


# Give back what an empty queue holds.
cdef void out_shrink(Out* out) noexcept nogil:
    if out.chunks != NULL:
        ref_release(&ring_block(out).ref)
    if out.block != NULL:
        ref_release(&out.block.ref)
    out_init(out)


cdef void out_clear(Out* out) noexcept nogil:
    while out.head != out.tail:
        ref_release(out.chunks[out.head & (out.cap - 1)].ref)
        out.head += 1
    out_shrink(out)


# Room for one more chunk.
cdef bint chunk_room(Out* out) noexcept nogil:
    cdef uint32_t used = out.tail - out.head
    cdef uint32_t cap = out.cap * 2 if out.cap else FIRST_CHUNKS
    cdef uint32_t i
    cdef Block* ring
    cdef Chunk* chunks
    if used < out.cap:
        return True
    if cap > 1 << 26:
        return False
    ring = block_new(cap * <uint32_t>sizeof(Chunk))
    if ring == NULL:
        return False
    chunks = <Chunk*>block_data(ring)
    for i in range(used):
        chunks[i] = out.chunks[(out.head + i) & (out.cap - 1)]
    if out.chunks != NULL:
        ref_release(&ring_block(out).ref)
    out.chunks = chunks
    out.cap = cap
    out.head = 0
    out.tail = used
    return True


# Append a range to the last chunk when it continues it, else as a chunk with its own reference. Room was made before.
cdef inline void chunk_add(Out* out, Ref* ref, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef Chunk* last
    out.bytes += n
    if out.tail != out.head:
        last = &out.chunks[(out.tail - 1) & (out.cap - 1)]
        if last.ref == ref and last.data + last.len == data:
            last.len += n
            return
    ref_retain(ref)
    last = &out.chunks[out.tail & (out.cap - 1)]
    last.ref = ref
    last.data = data
    last.len = n
    out.tail += 1


cdef uint8_t* out_reserve(Out* out, uint32_t n) noexcept nogil:
    cdef Block* block = out.block
    cdef uint32_t size = FIRST_BLOCK
    if block == NULL or block.cap - block.len < n:
        if block != NULL:
            size = block.cap * 8 if block.cap * 8 < LARGEST_BLOCK else LARGEST_BLOCK
        block = block_new(size if size > n else n)
        if block == NULL:
            return NULL
        if out.block != NULL:
            ref_release(&out.block.ref)
        out.block = block
    if not chunk_room(out):
        return NULL
    return block_data(block) + block.len


cdef void out_commit(Out* out, uint32_t n) noexcept nogil:
    cdef Block* block = out.block
    if n == 0:
        return
    chunk_add(out, &block.ref, block_data(block) + block.len, n)
    block.len += n


cdef bint out_copy(Out* out, const uint8_t* data, uint64_t n) noexcept nogil:
    cdef uint8_t* to
    cdef uint32_t part
    while n:
        part = <uint32_t>n if n < LARGEST_BLOCK else LARGEST_BLOCK
        if out.block != NULL and 0 < out.block.cap - out.block.len < part:
            part = out.block.cap - out.block.len        # fill the tail block before a new one
        to = out_reserve(out, part)
        if to == NULL:
            return False
        memcpy(to, data, part)
        out_commit(out, part)
        data += part
        n -= part
    return True


cdef bint out_copy_of(Out* out, Ref* ref, const uint8_t* data, uint32_t n) noexcept nogil:
    cdef uint8_t* to = out_reserve(out, n)
    if to == NULL:
        return False
    memcpy(to, data, n)
    if ref_holds(ref):
        out_commit(out, n)
    else:
        chunk_add(out, ref, data, n)    # for out_flush to find
    return True


cdef bint out_ref(Out* out, Ref* ref, const uint8_t* data, uint64_t n) noexcept nogil:
    if n < COPY_BELOW:
        return out_copy_of(out, ref, data, <uint32_t>n)
    if not chunk_room(out):
        return False
    chunk_add(out, ref, data, n)
    return True


cdef uint64_t pinned_bytes(const Out* out, uint64_t* last) noexcept nogil:
    """Of retired segments; `last`: of these in the last range."""
    cdef const Chunk* chunk
    cdef uint64_t n = 0
    cdef uint32_t at = out.head
    last[0] = 0
    while at != out.tail:
        chunk = &out.chunks[at & (out.cap - 1)]
        if ref_retired(chunk.ref):
            n += chunk.len
            last[0] = chunk.len
        at += 1
    return n


cdef bint out_unpin(Out* out, uint64_t most) noexcept nogil:
    cdef Chunk* chunk
    cdef Block* block
    cdef uint8_t* to
    cdef uint32_t at = out.head
    cdef uint64_t last
    cdef uint64_t n = pinned_bytes(out, &last)
    if n == 0:
        return True
    if n - last > most or n >> 32:
        return False
    block = block_new(<uint32_t>n)
    if block == NULL:
        return False
    while at != out.tail:
        chunk = &out.chunks[at & (out.cap - 1)]
        # Of what is retired meanwhile, what fits.
        if ref_retired(chunk.ref) and chunk.len <= block.cap - block.len:
            to = block_data(block) + block.len
            memcpy(to, chunk.data, chunk.len)
            if ref_holds(chunk.ref):            # else it is for out_flush to find
                block.len += <uint32_t>chunk.len
                ref_retain(&block.ref)
                ref_release(chunk.ref)
                chunk.ref = &block.ref
                chunk.data = to
        at += 1
    ref_release(&block.ref)
    return True


# Drop the first `n` queued bytes.
cdef void out_drop(Out* out, uint64_t n) noexcept nogil:
    cdef Chunk* chunk
    out.bytes -= n
    while n:
        chunk = &out.chunks[out.head & (out.cap - 1)]
        if n < chunk.len:
            chunk.data += n
            chunk.len -= n
            return
        n -= chunk.len
        ref_release(chunk.ref)
        out.head += 1


cdef uint32_t gather(const Out* out, iovec* iov, uint64_t room, uint64_t* offered) noexcept nogil:
    """What the next writev gets, up to `room` bytes; 0: some of it lies in a file that has lost pages."""
    cdef const Chunk* chunk
    cdef uint32_t count = 0
    offered[0] = 0
    while count < FLUSH_IOVECS and out.head + count != out.tail and offered[0] < room:
        chunk = &out.chunks[(out.head + count) & (out.cap - 1)]
        if ref_failed(chunk.ref):
            return 0
        iov[count].iov_base = <void*>chunk.data
        iov[count].iov_len = chunk.len if chunk.len < room - offered[0] else room - offered[0]
        offered[0] += iov[count].iov_len
        count += 1
    return count


cdef void touch(const iovec* iov, uint32_t count) noexcept nogil:
    """The kernel found a page that it cannot read: who guards it is to know."""
    cdef uint32_t i
    for i in range(count):
        memory_touch(<const uint8_t*>iov[i].iov_base, iov[i].iov_len)


cdef long long out_flush(Out* out, int fd, uint64_t most, uint64_t* system_calls) noexcept nogil:
    cdef iovec[FLUSH_IOVECS] iov
    cdef uint32_t count
    cdef uint64_t offered
    cdef long long sent, total = 0
    while out.bytes and <uint64_t>total < most:
        flight_begin()
        count = gather(out, iov, most - <uint64_t>total, &offered)
        sent = writev(fd, iov, <int>count) if count else -1
        flight_end()
        if count == 0:
            set_errno(EIO)
            return -1
        system_calls[0] += 1
        if sent < 0:
            if errno == EINTR:
                continue
            if errno == EFAULT:
                touch(iov, count)
                set_errno(EIO)
                return -1
            return total if errno == EAGAIN else -1
        out_drop(out, <uint64_t>sent)
        total += sent
        if <uint64_t>sent < offered:
            return total                # the socket is full: another call would only say so
    if out.bytes == 0:
        out_shrink(out)
    return total


cdef void out_await_flights() noexcept nogil:
    flights_await()


cdef uint64_t out_take(Out* out, uint8_t* to, uint64_t cap) noexcept nogil:
    cdef uint64_t taken = 0, n
    cdef Chunk* chunk
    while taken < cap and out.bytes:
        chunk = &out.chunks[out.head & (out.cap - 1)]
        n = chunk.len if chunk.len < cap - taken else cap - taken
        memcpy(to + taken, chunk.data, n)
        taken += n
        out_drop(out, n)
    if out.bytes == 0:
        out_shrink(out)
    return taken
