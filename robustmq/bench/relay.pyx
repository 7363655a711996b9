"""The kernel's own ceiling: a server that parses nothing.

echo    what a connection sends comes back on it.
relay   the connections of one listener are inputs, those of a second one outputs; what input i sends goes to every
        output j with j % inputs == i. Inputs are read once all connections are there.

One thread, one loop, one `read` and one `send` per chunk and output. A chunk is read only when all outputs of its input
have taken the last one, so memory is bounded by CHUNK for each input.

Owner: the thread in `serve`.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from robustmq.bench.net cimport (
    MSG_NOSIGNAL, POLLER_BATCH, READY_READ, READY_WRITE, WATCH_EDGES, WATCH_LEVEL_READ, net_accept, net_no_delay, net_read,
    poller_add, poller_close, poller_event, poller_open, poller_wait, send, would_block,
)


cdef enum:
    CHUNK = 64 << 10
    TAG_INPUTS = 1                  # the two listeners; a connection's tag is its index + TAG_FIRST
    TAG_OUTPUTS = 2
    TAG_FIRST = 3

cdef struct Input:
    int fd
    bint readable
    uint8_t* chunk
    uint32_t size                   # bytes of the chunk
    uint32_t waiting                # outputs that have not taken all of it

cdef struct Output:
    int fd
    uint32_t sent                   # bytes of its input's chunk that it has taken

cdef struct Relay:
    bint echo
    uint32_t inputs_most
    uint32_t outputs_most
    uint32_t inputs_count
    uint32_t outputs_count
    Input* inputs
    Output* outputs                 # of an echo: one for each input, with the same fd
    bint ended


# Send on what is left of the chunk of input `i`; True when every output has taken all of it.
cdef bint pass_on(Relay* r, uint32_t i) noexcept nogil:
    cdef Input* from_ = &r.inputs[i]
    cdef Output* to
    cdef uint32_t j = i
    cdef long long n
    while j < r.outputs_most:
        to = &r.outputs[j]
        if to.sent < from_.size:
            n = send(to.fd, from_.chunk + to.sent, from_.size - to.sent, MSG_NOSIGNAL)
            if n > 0:
                to.sent += <uint32_t>n
            elif not would_block():
                r.ended = not r.echo
                to.sent = from_.size
            if to.sent == from_.size:
                from_.waiting -= 1
        j += r.inputs_most
    return from_.waiting == 0


cdef void start_chunk(Relay* r, uint32_t i, uint32_t size) noexcept nogil:
    cdef uint32_t j = i
    r.inputs[i].size = size
    r.inputs[i].waiting = 0
    while j < r.outputs_most:
        r.outputs[j].sent = 0
        r.inputs[i].waiting += 1
        j += r.inputs_most


# Read and pass on; an input keeps its turn for one chunk only. True: there may be more.
cdef bint serve_input(Relay* r, uint32_t i) noexcept nogil:
    cdef Input* from_ = &r.inputs[i]
    cdef long long n
    if from_.waiting and not pass_on(r, i):
        return False
    if not from_.readable:
        return False
    n = net_read(from_.fd, from_.chunk, CHUNK)
    if n <= 0:
        from_.readable = False
        if n == 0 or not would_block():
            r.ended = not r.echo
        return False
    from_.readable = n == CHUNK         # a short read has emptied the socket: the next edge comes with more bytes
    start_chunk(r, i, <uint32_t>n)
    pass_on(r, i)
    return from_.readable


cdef void accept_inputs(Relay* r, int poller, int listener) noexcept nogil:
    cdef int fd = net_accept(listener)
    cdef Input* from_
    if fd < 0 or r.inputs_count == r.inputs_most:
        return
    from_ = &r.inputs[r.inputs_count]
    from_.chunk = <uint8_t*>malloc(CHUNK)
    if from_.chunk == NULL:
        r.ended = True
        return
    net_no_delay(fd)
    from_.fd = fd
    if r.echo:
        r.outputs[r.inputs_count].fd = fd
    poller_add(poller, fd, TAG_FIRST + r.inputs_count, WATCH_EDGES)
    r.inputs_count += 1


cdef void accept_outputs(Relay* r, int poller, int listener) noexcept nogil:
    cdef int fd = net_accept(listener)
    if fd < 0 or r.outputs_count == r.outputs_most:
        return
    net_no_delay(fd)
    r.outputs[r.outputs_count].fd = fd
    poller_add(poller, fd, TAG_FIRST + r.inputs_most + r.outputs_count, WATCH_EDGES)
    r.outputs_count += 1


cdef void on_event(Relay* r, uint32_t index, uint32_t ready) noexcept nogil:
    if index < r.inputs_most:
        r.inputs[index].readable = r.inputs[index].readable or (ready & ~<uint32_t>READY_WRITE) != 0
    elif ready & READY_READ:            # an output never sends: it has closed
        r.ended = True


cdef void run(Relay* r, int poller, int inputs, int outputs) noexcept nogil:
    cdef poller_event events[POLLER_BATCH]
    cdef uint64_t tag
    cdef uint32_t i
    cdef int n, e
    cdef bint more = False
    while not r.ended:
        n = poller_wait(poller, events, 0 if more else -1)
        for e in range(n):
            tag = events[e].tag
            if tag == TAG_INPUTS:
                accept_inputs(r, poller, inputs)
            elif tag == TAG_OUTPUTS:
                accept_outputs(r, poller, outputs)
            else:
                on_event(r, <uint32_t>(tag - TAG_FIRST), events[e].ready)
        more = False
        if r.echo or (r.inputs_count == r.inputs_most and r.outputs_count == r.outputs_most):
            for i in range(r.inputs_count):
                more = serve_input(r, i) or more


def serve(int inputs_listener, int outputs_listener, unsigned int inputs, unsigned int outputs) -> None:
    """Relay `inputs` connections to `outputs` until one of them ends; with `outputs` 0, echo up to `inputs` for ever.

    The listeners are file descriptors of listening sockets (`outputs_listener` -1 for an echo).
    """
    cdef Relay r
    cdef int poller = poller_open()
    r.echo = outputs == 0
    r.ended = False
    r.inputs_most, r.outputs_most = inputs, outputs or inputs
    r.inputs_count = r.outputs_count = 0
    r.inputs = <Input*>calloc(r.inputs_most, sizeof(Input))
    r.outputs = <Output*>calloc(r.outputs_most, sizeof(Output))
    try:
        if poller < 0:
            raise OSError("no poller: too many open files?")
        if r.inputs == NULL or r.outputs == NULL:
            raise MemoryError
        poller_add(poller, inputs_listener, TAG_INPUTS, WATCH_LEVEL_READ)
        if not r.echo:
            poller_add(poller, outputs_listener, TAG_OUTPUTS, WATCH_LEVEL_READ)
        with nogil:
            run(&r, poller, inputs_listener, outputs_listener)
    finally:
        if r.inputs != NULL:
            for i in range(r.inputs_count):
                free(r.inputs[i].chunk)
        free(r.inputs)
        free(r.outputs)
        poller_close(poller)
