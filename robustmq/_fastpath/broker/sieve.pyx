"""One batch under compaction: see sieve.pxd."""
import struct

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from robustmq._fastpath.batch cimport (
    ATTRIBUTE_LOG_APPEND_TIME, BATCH_ATTRIBUTES, BATCH_CRC, BATCH_HEADER, BATCH_LENGTH, BATCH_MAX_TIMESTAMP,
    BATCH_RECORD_COUNT, CODEC_MASK, batch_attributes, batch_base_timestamp, batch_codec, batch_record_count,
    batch_size, record_next,
)
from robustmq._fastpath.cursor cimport cursor_init
from robustmq._fastpath.status cimport OK
from robustmq._fastpath.stores.journal cimport entry_body, entry_finish
from robustmq._fastpath.stores.sealed_writer cimport writer_put

from robustmq._fastpath.broker import codecs
from robustmq._fastpath.crc import crc32c_bytes


cdef enum:
    NO_TIMESTAMP = -1
    TURN = 1024                         # records, after which others may have the GIL


cdef class Sieve:
    """See sieve.pxd."""

    cdef bint next(self):
        cdef bint more
        self.turn += 1
        if self.turn % TURN:
            return record_next(&self.cursor, &self.view)
        with nogil:
            more = record_next(&self.cursor, &self.view)
        return more

    cdef uint64_t offset(self) noexcept nogil:
        return self.entry.base_offset + <uint64_t>self.view.offset_delta

    cdef int stay(self) except -1:
        if self.stretch_end != self.view.start:
            flush(self)
            self.stretch = self.view.start
        self.stretch_end = self.cursor.p
        self.count += 1
        self.max_timestamp = max(self.max_timestamp, batch_base_timestamp(self.batch) + self.view.timestamp_delta)
        return 0

    cdef Status put(self, Writer* writer, uint64_t position, bint empty) except *:
        cdef Status why = OK
        if self.count == batch_record_count(self.batch) and (self.count or empty):
            with nogil:
                why = writer_put(writer, self.entry, position)
        elif self.count:
            flush(self)
            # What a session has queued of it by position and byte is then not found there, rather than found wrong. A record
            # has 7 bytes and one goes each time: the position stays below the next batch's. A compressed batch is queued otherwise.
            why = write_again(self, writer, position if batch_codec(self.batch) else position + 1)
        elif empty:
            self.max_timestamp = NO_TIMESTAMP
            why = write_again(self, writer, position)
        return why


cdef flush(Sieve sieve):
    sieve.kept += sieve.stretch[:sieve.stretch_end - sieve.stretch]


cdef Status write_again(Sieve sieve, Writer* writer, uint64_t position) except *:
    cdef bytes whole = encoded(sieve)
    cdef const uint8_t* data = whole
    cdef uint64_t n = <uint64_t>len(whole)
    cdef Entry* copy = <Entry*>malloc(sizeof(Entry) + n)
    cdef Status why
    if copy == NULL:
        raise MemoryError
    with nogil:
        copy[0] = sieve.entry[0]
        memcpy(<uint8_t*>copy + sizeof(Entry), data, n)
        entry_finish(copy, sizeof(Entry) + n)
        why = writer_put(writer, copy, position)
        free(copy)
    return why


cdef bytes encoded(Sieve sieve):
    """The batch with what stayed."""
    cdef int codec = batch_codec(sieve.batch) if sieve.count else 0
    head = bytearray(sieve.batch[:BATCH_HEADER])
    body = codecs.deflate(codec, sieve.kept)
    struct.pack_into(">i", head, BATCH_LENGTH, BATCH_HEADER - 12 + len(body))
    head[BATCH_ATTRIBUTES + 1] = head[BATCH_ATTRIBUTES + 1] & ~CODEC_MASK & 0xFF | codec
    if not sieve.count or not batch_attributes(sieve.batch) & ATTRIBUTE_LOG_APPEND_TIME:
        struct.pack_into(">q", head, BATCH_MAX_TIMESTAMP, sieve.max_timestamp)
    struct.pack_into(">i", head, BATCH_RECORD_COUNT, sieve.count)
    struct.pack_into(">I", head, BATCH_CRC, crc32c_bytes(bytes(head[BATCH_ATTRIBUTES:]) + body))
    return bytes(head) + body


cdef bint well_formed(Cursor cursor, int32_t count) noexcept nogil:
    cdef RecordView view
    while record_next(&cursor, &view):
        count -= 1
    return count == 0 and cursor.p == cursor.end


cdef Sieve sieve_open(const Entry* entry):
    """None: what is compressed is first seen here, and Produce did not find out that it is no records."""
    cdef Sieve sieve = Sieve.__new__(Sieve)
    cdef const uint8_t* records = entry_body(entry) + BATCH_HEADER
    cdef uint64_t n = batch_size(entry_body(entry)) - BATCH_HEADER
    cdef bint good
    sieve.entry = entry
    sieve.batch = entry_body(entry)
    sieve.kept = bytearray()
    sieve.max_timestamp = NO_TIMESTAMP
    if batch_codec(sieve.batch):
        try:
            sieve.plain = codecs.inflate(batch_codec(sieve.batch), records[:n])
        except ValueError:
            return None
        n = <uint64_t>len(sieve.plain)
        records = address(sieve.plain)
    cursor_init(&sieve.cursor, records, n)
    sieve.stretch = sieve.stretch_end = records
    with nogil:
        good = well_formed(sieve.cursor, batch_record_count(sieve.batch))
    return sieve if good else None


cdef const uint8_t* address(object data) except? NULL:
    """Of bytes or a bytearray that nobody resizes."""
    return <const uint8_t*><bytes>data if isinstance(data, bytes) else <const uint8_t*><char*><bytearray>data
