"""The subscription index: see index.pxd."""
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy
from robustmq._fastpath.atomic cimport (
    load_acquire_ptr, load_acquire_u32, store_release_ptr, store_release_u32, store_release_u64,
)
from robustmq._fastpath.hash cimport hash_pair, hash_seed, hash_with
from robustmq._fastpath.platform cimport (
    pthread_mutex_destroy, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_unlock,
)
from robustmq._fastpath.qsbr cimport qsbr_retire
from robustmq._fastpath.status cimport NO_MEMORY, OK, TOO_LARGE


cdef enum Kind:
    LITERAL = 0
    PLUS = 1
    SHARP = 2
    ROOT = 3

cdef Node* GONE = <Node*>1

cdef enum:
    STACK = 2 * LEVELS_MAX + 2          # a depth-first walk holds at most two pending children per level


cdef struct Level:
    const uint8_t* p
    uint32_t n
    uint64_t hash                       # of the bytes


cdef struct Step:
    Node* node
    uint32_t level


cdef inline Node** slots(NodeTable* table) noexcept nogil:
    return <Node**>(<char*>table + sizeof(NodeTable))


cdef inline Sub* entries(Subs* subs) noexcept nogil:
    return <Sub*>(<char*>subs + sizeof(Subs))


cdef inline const uint8_t* name_of(const Node* node) noexcept nogil:
    return <const uint8_t*>node + sizeof(Node)


cdef NodeTable* table_new(uint64_t size) noexcept nogil:
    cdef NodeTable* table = <NodeTable*>calloc(1, sizeof(NodeTable) + size * sizeof(Node*))
    if table != NULL:
        table.mask = size - 1
    return table


cdef bint index_init(Index* index) noexcept nogil:
    pthread_mutex_init(&index.lock, NULL)
    index.table = table_new(256)
    index.version = 1
    index.nodes = index.filters = 0
    index.root.hash = hash_seed()
    index.root.parent = index.root.plus = index.root.sharp = NULL
    index.root.subs = NULL
    index.root.children = 0
    index.root.len = 0
    index.root.kind = ROOT
    return index.table != NULL


cdef void node_free(Node* node) noexcept nogil:
    if node == NULL:
        return
    free(node.subs)
    free(node)


cdef void free_wild(Node* node) noexcept nogil:
    """The chain of wildcard children below a node, which no table lists. Each link is a level: bounded by LEVELS_MAX."""
    cdef Node* next
    while node != NULL:
        node_free(node.sharp)
        next = node.plus
        node_free(node)
        node = next


cdef void index_free(Index* index) noexcept nogil:
    """Nobody reads any more."""
    cdef uint64_t i
    cdef Node* node
    if index.table == NULL:
        return
    for i in range(index.table.mask + 1):
        node = slots(index.table)[i]
        if node != NULL and node != GONE:
            node_free(node.sharp)
            free_wild(node.plus)
            node_free(node)
    node_free(index.root.sharp)
    free_wild(index.root.plus)
    free(index.root.subs)
    free(index.table)
    index.table = NULL
    pthread_mutex_destroy(&index.lock)


cdef inline uint64_t child_hash(const Node* parent, uint64_t level_hash) noexcept nogil:
    return hash_pair(parent.hash, level_hash)


cdef Node* find_literal(NodeTable* table, const Node* parent, const Level* level) noexcept nogil:
    cdef uint64_t hash = child_hash(parent, level.hash)
    cdef uint64_t i = hash & table.mask
    cdef Node* node
    while True:
        node = <Node*>load_acquire_ptr(&slots(table)[i])
        if node == NULL:
            return NULL
        if (node != GONE and node.hash == hash and node.parent == parent and node.len == level.n
                and memcmp(name_of(node), level.p, level.n) == 0):
            return node
        i = (i + 1) & table.mask


cdef int32_t split(const uint8_t* text, uint32_t n, Level* levels) noexcept nogil:
    """Levels between slashes, hashed; their number, or -1 beyond LEVELS_MAX."""
    cdef uint32_t start = 0, at = 0
    cdef int32_t count = 0
    cdef uint64_t seed = hash_seed()
    while True:
        if at == n or text[at] == c"/":
            if count == LEVELS_MAX:
                return -1
            levels[count].p = text + start
            levels[count].n = at - start
            levels[count].hash = hash_with(seed, text + start, at - start)
            count += 1
            if at == n:
                return count
            start = at + 1
        at += 1


cdef inline uint16_t kind_of(const Level* level) noexcept nogil:
    if level.n != 1:
        return LITERAL
    return PLUS if level.p[0] == c"+" else SHARP if level.p[0] == c"#" else LITERAL


# --- writing ----------------------------------------------------------------------------------------------------------

cdef bint table_room(Index* index) noexcept nogil:
    """Keep the table at most half full, tombstones included."""
    cdef NodeTable* old = index.table
    cdef NodeTable* table
    cdef uint64_t size = old.mask + 1
    cdef uint64_t i, at
    cdef Node* node
    if (old.used + 1) * 2 <= size:
        return True
    while (index.nodes + 1) * 4 > size:
        size *= 2
    table = table_new(size)
    if table == NULL:
        return False
    for i in range(old.mask + 1):
        node = slots(old)[i]
        if node != NULL and node != GONE:
            at = node.hash & table.mask
            while slots(table)[at] != NULL:
                at = (at + 1) & table.mask
            slots(table)[at] = node
            table.used += 1
    store_release_ptr(&index.table, table)
    qsbr_retire(old, free)
    return True


cdef Node* node_new(Index* index, Node* parent, const Level* level, uint16_t kind) noexcept nogil:
    cdef uint32_t n = level.n if kind == LITERAL else 0
    cdef Node* node
    cdef uint64_t i
    if kind == LITERAL and not table_room(index):
        return NULL
    node = <Node*>calloc(1, sizeof(Node) + n)
    if node == NULL:
        return NULL
    node.parent = parent
    node.kind = kind
    node.len = <uint16_t>n
    node.hash = child_hash(parent, level.hash)
    if kind == LITERAL:
        memcpy(<uint8_t*>node + sizeof(Node), level.p, n)
        i = node.hash & index.table.mask
        while slots(index.table)[i] != NULL:
            i = (i + 1) & index.table.mask
        index.table.used += 1
        store_release_ptr(&slots(index.table)[i], node)
    elif kind == PLUS:
        store_release_ptr(&parent.plus, node)
    else:
        store_release_ptr(&parent.sharp, node)
    parent.children += 1
    index.nodes += 1
    return node


cdef Node* child_of(Index* index, Node* parent, const Level* level, uint16_t kind) noexcept nogil:
    if kind == PLUS:
        return parent.plus
    return parent.sharp if kind == SHARP else find_literal(index.table, parent, level)


cdef void retire_node(void* p) noexcept nogil:
    node_free(<Node*>p)


cdef void prune(Index* index, Node* node) noexcept nogil:
    """Unlink nodes that nothing needs any more, from the leaf up."""
    cdef Node* parent
    cdef uint64_t i
    while node.kind != ROOT and node.children == 0 and (node.subs == NULL or node.subs.live == 0):
        parent = node.parent
        if node.kind == PLUS:
            store_release_ptr(&parent.plus, NULL)
        elif node.kind == SHARP:
            store_release_ptr(&parent.sharp, NULL)
        else:
            i = node.hash & index.table.mask
            while slots(index.table)[i] != node:
                i = (i + 1) & index.table.mask
            store_release_ptr(&slots(index.table)[i], GONE)
        parent.children -= 1
        index.nodes -= 1
        qsbr_retire(node, retire_node)
        node = parent


cdef Sub* find_sub(Node* node, void* consumer) noexcept nogil:
    cdef uint32_t i
    if node.subs == NULL:
        return NULL
    for i in range(node.subs.count):
        if entries(node.subs)[i].consumer == consumer:
            return &entries(node.subs)[i]
    return NULL


cdef Subs* subs_copy(const Subs* old, uint32_t cap) noexcept nogil:
    """The live entries of `old`, with room for `cap`."""
    cdef Subs* subs = <Subs*>malloc(sizeof(Subs) + cap * sizeof(Sub))
    cdef uint32_t i
    if subs == NULL:
        return NULL
    subs.cap = cap
    subs.count = 0
    subs.reserved = 0
    if old != NULL:
        for i in range(old.count):
            if entries(<Subs*>old)[i].consumer != NULL:
                entries(subs)[subs.count] = entries(<Subs*>old)[i]
                subs.count += 1
    subs.live = subs.count
    return subs


cdef bint put_sub(Node* node, const Sub* sub) noexcept nogil:
    """Append in place where there is room; else in a larger copy."""
    cdef Subs* subs = node.subs
    cdef Subs* wider
    if subs == NULL or subs.count == subs.cap:
        wider = subs_copy(subs, 1 if subs == NULL else subs.live * 2 + 1)
        if wider == NULL:
            return False
        entries(wider)[wider.count] = sub[0]
        wider.count += 1
        wider.live += 1
        store_release_ptr(&node.subs, wider)
        if subs != NULL:
            qsbr_retire(subs, free)
        return True
    entries(subs)[subs.count] = sub[0]
    subs.live += 1
    store_release_u32(&subs.count, subs.count + 1)
    return True


cdef void drop_sub(Node* node, Sub* sub) noexcept nogil:
    """Cancel in place; copy what is left once half of it is dead."""
    cdef Subs* subs = node.subs
    cdef Subs* tighter = NULL
    store_release_ptr(&sub.consumer, NULL)
    subs.live -= 1
    if subs.live == 0 or subs.live * 2 < subs.count:
        if subs.live > 0:
            tighter = subs_copy(subs, subs.live + 1)
            if tighter == NULL:
                return
        store_release_ptr(&node.subs, tighter)
        qsbr_retire(subs, free)


cdef Node* walk(Index* index, const Level* levels, int32_t count) noexcept nogil:
    """The node at the end of the levels, NULL when there is none."""
    cdef int32_t i
    cdef Node* node = &index.root
    for i in range(count):
        node = child_of(index, node, &levels[i], kind_of(&levels[i]))
        if node == NULL:
            return NULL
    return node


cdef Node* make(Index* index, const Level* levels, int32_t count) noexcept nogil:
    """The same, made where it is missing; NULL: memory is out."""
    cdef int32_t i
    cdef Node* node = &index.root
    cdef Node* child
    for i in range(count):
        child = child_of(index, node, &levels[i], kind_of(&levels[i]))
        if child == NULL:
            child = node_new(index, node, &levels[i], kind_of(&levels[i]))
            if child == NULL:
                prune(index, node)
                return NULL
        node = child
    return node


cdef void changed(Index* index, uint64_t filters) noexcept nogil:
    """Under the lock, behind a change: there are so many now."""
    store_release_u64(&index.filters, filters)
    store_release_u64(&index.version, index.version + 1)


cdef bint put(Index* index, Node* node, const Sub* sub, bint* existed) noexcept nogil:
    cdef Sub* old = find_sub(node, sub.consumer)
    existed[0] = old != NULL
    if not put_sub(node, sub):
        prune(index, node)
        return False
    if existed[0]:                      # the new entry is visible before the old one goes: never none
        drop_sub(node, find_sub(node, sub.consumer))
    changed(index, index.filters if existed[0] else index.filters + 1)
    return True


cdef Status index_subscribe(Index* index, const uint8_t* filter, uint32_t n, const Sub* sub, Node** place,
                            bint* existed) noexcept nogil:
    cdef Level levels[LEVELS_MAX]
    cdef int32_t count = split(filter, n, levels)
    cdef Status status = OK
    existed[0] = False
    if count < 0:
        return TOO_LARGE
    pthread_mutex_lock(&index.lock)
    place[0] = make(index, levels, count)
    if place[0] == NULL or not put(index, place[0], sub, existed):
        status = NO_MEMORY
    pthread_mutex_unlock(&index.lock)
    return status


cdef Node* index_place(Index* index, const uint8_t* filter, uint32_t n) noexcept nogil:
    cdef Level levels[LEVELS_MAX]
    cdef int32_t count = split(filter, n, levels)
    cdef Node* node
    if count < 0:
        return NULL
    pthread_mutex_lock(&index.lock)
    node = walk(index, levels, count)
    if node != NULL and (node.subs == NULL or node.subs.live == 0):
        node = NULL
    pthread_mutex_unlock(&index.lock)
    return node


cdef bint index_unsubscribe(Index* index, Node* place, void* consumer) noexcept nogil:
    cdef Sub* sub
    pthread_mutex_lock(&index.lock)
    sub = find_sub(place, consumer)
    if sub != NULL:
        drop_sub(place, sub)
        prune(index, place)
        changed(index, index.filters - 1)
    pthread_mutex_unlock(&index.lock)
    return sub != NULL


# --- matching ---------------------------------------------------------------------------------------------------------

cdef bint note(Matches* found, Node* node) noexcept nogil:
    cdef Subs* subs
    cdef Subs** wider
    if node == NULL:
        return True
    subs = <Subs*>load_acquire_ptr(&node.subs)
    if subs == NULL:
        return True
    if found.count == found.cap:
        wider = <Subs**>realloc(found.subs, (found.cap * 2 + 16) * sizeof(Subs*))
        if wider == NULL:
            return False
        found.subs = wider
        found.cap = found.cap * 2 + 16
    found.subs[found.count] = subs
    found.count += 1
    return True


cdef bint index_match(Index* index, const uint8_t* topic, uint32_t n, Matches* found) noexcept nogil:
    cdef Level levels[LEVELS_MAX]
    cdef Step stack[STACK]
    cdef int32_t count = split(topic, n, levels)
    cdef uint32_t depth = 1
    cdef uint32_t level
    cdef NodeTable* table = <NodeTable*>load_acquire_ptr(&index.table)
    cdef Node* node
    cdef Node* child
    cdef bint hidden = n > 0 and topic[0] == c"$"                       # [MQTT-4.7.2-1]
    found.count = 0
    if count < 0:
        return False
    stack[0].node = &index.root
    stack[0].level = 0
    while depth > 0:
        depth -= 1
        node = stack[depth].node
        level = stack[depth].level
        if level > 0 or not hidden:
            if not note(found, <Node*>load_acquire_ptr(&node.sharp)):   # the parent level as well [MQTT-4.7.1-2]
                return False
        if level == <uint32_t>count:
            if not note(found, node):
                return False
            continue
        child = <Node*>load_acquire_ptr(&node.plus) if level > 0 or not hidden else NULL
        if child != NULL:
            stack[depth].node = child
            stack[depth].level = level + 1
            depth += 1
        child = find_literal(table, node, &levels[level])
        if child != NULL:
            stack[depth].node = child
            stack[depth].level = level + 1
            depth += 1
    return True
