"""The tests' door into the subscription index: consumers are small numbers."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from robustmq._fastpath.broker.index cimport (
    Index, Matches, Node, Sub, Subs, index_free, index_init, index_match, index_place, index_subscribe, index_unsubscribe,
)
from robustmq._fastpath.qsbr cimport qsbr_collect, qsbr_quiescent, qsbr_register, qsbr_unregister


cdef class ShimIndex:
    cdef Index index
    cdef Matches found

    def __cinit__(self):
        memset(&self.found, 0, sizeof(Matches))
        index_init(&self.index)

    def __dealloc__(self):
        free(self.found.subs)
        qsbr_collect()
        index_free(&self.index)

    def subscribe(self, bytes filter, uintptr_t consumer, int qos=0):
        """(status, existed)"""
        cdef Sub sub
        cdef Node* place
        cdef bint existed = False
        memset(&sub, 0, sizeof(sub))
        sub.consumer = <void*>consumer
        sub.qos = <uint8_t>qos
        status = index_subscribe(&self.index, filter, <uint32_t>len(filter), &sub, &place, &existed)
        return status, existed

    def unsubscribe(self, bytes filter, uintptr_t consumer):
        cdef Node* place = index_place(&self.index, filter, <uint32_t>len(filter))
        return place != NULL and index_unsubscribe(&self.index, place, <void*>consumer)

    def churn(self, uint32_t number, uint32_t rounds):
        """For races: without the GIL, subscribe to and leave again 512 filters beside those of other threads."""
        cdef uint8_t filter[8]
        cdef Sub sub
        cdef Node* place
        cdef bint existed
        cdef uint32_t i
        memset(&sub, 0, sizeof(sub))
        sub.consumer = <void*><uintptr_t>(number + 1)
        memcpy(filter, b"a/+/00/0", 8)
        with nogil:
            for i in range(rounds * 1024):
                filter[4] = c"0" + i % 64
                filter[5] = c"0" + i // 64 % 8
                filter[7] = c"s" if i % 8 == 0 else c"0" + number           # shared with the others, or its own
                if i // 512 % 2 == 0:
                    index_subscribe(&self.index, filter, 8, &sub, &place, &existed)
                else:
                    index_unsubscribe(&self.index, index_place(&self.index, filter, 8), sub.consumer)

    def match(self, bytes topic):
        """Consumers in order, with repetitions where filters overlap; None when the topic is refused."""
        cdef uint32_t i, j
        cdef Subs* subs
        if not index_match(&self.index, topic, <uint32_t>len(topic), &self.found):
            return None
        consumers = []
        for i in range(self.found.count):
            subs = self.found.subs[i]
            for j in range(subs.count):
                if (<Sub*>(<char*>subs + sizeof(Subs)))[j].consumer != NULL:
                    consumers.append(<uintptr_t>(<Sub*>(<char*>subs + sizeof(Subs)))[j].consumer)
        return sorted(consumers)

    def match_often(self, bytes topic, uint32_t times):
        """For benchmarks and races: match `times` times without the GIL, as a registered reader."""
        cdef const uint8_t* p = topic
        cdef uint32_t n = <uint32_t>len(topic)
        cdef uint32_t i, lists = 0
        cdef int slot = qsbr_register()
        cdef Matches found
        memset(&found, 0, sizeof(found))
        with nogil:
            for i in range(times):
                index_match(&self.index, p, n, &found)
                lists += found.count
                qsbr_quiescent(slot)
        qsbr_unregister(slot)
        free(found.subs)
        return lists

    @property
    def nodes(self):
        return self.index.nodes

    @property
    def filters(self):
        return self.index.filters
