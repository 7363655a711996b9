"""Blocks and the output queue, for tests: a Python object around each."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from robustmq._fastpath.atomic cimport store_release_u32
from robustmq._fastpath.block cimport (
    REF_BLOCK, REF_FAILED, REF_RETIRED, Block, block_bytes_live, block_data, block_new, block_pool_drain, ref_release,
)
from robustmq._fastpath.out cimport (
    Out, out_await_flights, out_clear, out_commit, out_copy, out_flush, out_init, out_ref, out_reserve, out_take, out_unpin,
)


def bytes_live() -> int:
    return block_bytes_live()


def drain() -> None:
    block_pool_drain()


def await_flights() -> None:
    with nogil:
        out_await_flights()


cdef class Bytes:
    """A block filled with bytes."""
    cdef Block* block

    def __cinit__(self, bytes data, uint32_t cap=0):
        cdef uint32_t n = <uint32_t>len(data)
        self.block = block_new(cap or n)
        if self.block == NULL:
            raise MemoryError
        memcpy(block_data(self.block), <const uint8_t*>data, n)
        self.block.len = n

    def __dealloc__(self):
        self.block.ref.kind = REF_BLOCK             # its pool gives it to others
        ref_release(&self.block.ref)

    @property
    def refs(self):
        return self.block.ref.refs

    @property
    def cap(self):
        return self.block.cap

    def lose(self):
        """As if these bytes were of a file that has lost a page."""
        store_release_u32(&self.block.ref.kind, REF_FAILED)

    def retire(self):
        """As if these bytes were of a segment that its journal has retired."""
        store_release_u32(&self.block.ref.kind, REF_RETIRED)

    def overwrite(self):
        """The segment is used again."""
        memset(block_data(self.block), 0xEE, self.block.len)


cdef class Queue:
    """An Out."""
    cdef Out out

    def __cinit__(self):
        out_init(&self.out)

    def __dealloc__(self):
        out_clear(&self.out)

    def copy(self, bytes data):
        return bool(out_copy(&self.out, data, len(data)))

    def write(self, bytes data, uint32_t reserve=0):
        """reserve + commit."""
        cdef uint32_t n = <uint32_t>len(data)
        cdef uint8_t* to = out_reserve(&self.out, reserve or n)
        if to == NULL:
            raise MemoryError
        memset(to, 0xEE, reserve or n)
        memcpy(to, <const uint8_t*>data, n)
        out_commit(&self.out, n)

    def ref(self, Bytes owner, uint64_t start, uint64_t n):
        return bool(out_ref(&self.out, &owner.block.ref, block_data(owner.block) + start, n))

    def take(self, uint64_t cap):
        cdef bytearray to = bytearray(cap)
        cdef uint64_t n = out_take(&self.out, to, cap)
        return bytes(to[:n])

    def flush(self, int fd, uint64_t most=2**64 - 1):
        """(bytes sent or -1, system calls)"""
        cdef uint64_t calls = 0
        cdef long long sent
        with nogil:
            sent = out_flush(&self.out, fd, most, &calls)
        return sent, calls

    def clear(self):
        out_clear(&self.out)

    def unpin(self, uint64_t most):
        return bool(out_unpin(&self.out, most))

    @property
    def bytes(self):
        return self.out.bytes

    @property
    def chunks(self):
        return self.out.tail - self.out.head

    @property
    def empty_handed(self):
        """True when the queue holds no memory."""
        return self.out.chunks == NULL and self.out.block == NULL
