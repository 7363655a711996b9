"""The subscriptions of one consumer: see subscriptions.pxd."""
from libc.stdlib cimport free
from robustmq._fastpath.atomic cimport store_release_u32
from robustmq._fastpath.broker.index cimport index_place, index_subscribe, index_unsubscribe
from robustmq._fastpath.status cimport NO_MEMORY, OK, QUOTA
from robustmq._fastpath.stores.arrays cimport array_grow


cdef uint32_t position(const Subscriptions* own, const Node* place) noexcept nogil:
    """Of the place; `count` when it is none of them."""
    cdef uint32_t i
    for i in range(own.count):
        if own.places[i] == place:
            return i
    return own.count


cdef Status subscriptions_add(Subscriptions* own, Index* index, const uint8_t* filter, uint32_t n, const Sub* sub,
                              uint32_t most, bint* existed) noexcept nogil:
    cdef Node* place
    cdef Status status
    existed[0] = False
    if subscriptions_full(own, 1, most):
        place = index_place(index, filter, n)
        if place == NULL or position(own, place) == own.count:
            return QUOTA
    if not array_grow(<void**>&own.places, own.count, &own.cap, sizeof(Node*)):
        return NO_MEMORY
    status = index_subscribe(index, filter, n, sub, &place, existed)
    if status == OK and not existed[0]:
        own.places[own.count] = place
        store_release_u32(&own.count, own.count + 1)
    return status


cdef bint subscriptions_remove(Subscriptions* own, Index* index, const uint8_t* filter, uint32_t n,
                               void* consumer) noexcept nogil:
    cdef Node* place = index_place(index, filter, n)
    cdef uint32_t at
    if place == NULL:
        return False
    at = position(own, place)
    if at == own.count:
        return False
    own.places[at] = own.places[own.count - 1]
    store_release_u32(&own.count, own.count - 1)
    return index_unsubscribe(index, place, consumer)


cdef void subscriptions_end(Subscriptions* own, Index* index, void* consumer) noexcept nogil:
    cdef uint32_t i
    for i in range(own.count):
        index_unsubscribe(index, own.places[i], consumer)
    store_release_u32(&own.count, 0)
    free(own.places)
    own.places = NULL
    own.cap = 0
