"""Shared subscriptions (MQTT 5, 4.8.2): a group takes turns, each record goes to exactly one member.

A group is a Consumer in the index. Its deliver() runs on its home reactor, which alone takes turns; a member elsewhere
gets its share by mail. A member that is busy is skipped while another is not. What a member leaves unacknowledged comes
back through `shared_return` and goes to another.

    run of 6 records, members A (busy), B, C   ->   B: 0 2 4   C: 1 3 5

A group ends with its last member. What outlives it (messages that a session has not acknowledged, mail, the journal) names
it by its key, which finds the group, or a later one of that name and filter, or nothing.

Concurrency: the member list and the table of groups are changed by the control plane (release) and what leaves them is
retired; `turn` belongs to the home reactor.
"""
from libc.stdint cimport uint32_t, uint64_t
from robustmq._fastpath.broker.routes cimport Consumer, Exchange, Route, Run
from robustmq._fastpath.mailbox cimport Mail


cdef enum:
    SHARED_GROUPS_MAX = 65536
    MEMBERS_MAX = 4096


cdef struct Members:
    uint32_t count
    uint32_t reserved
    # Route[count] follows: each member with its own options


cdef struct Group:
    Consumer consumer               # first: the Consumer is the Group. Its number is the key, which is made of name and
                                    # filter: the same after a restart (seen.pxd)
    Exchange* exchange
    Members* members                # release by the control plane
    Group* next                     # of the same bucket; release by the control plane
    uint32_t turn                   # home reactor
    uint32_t reserved


# Control plane; the key finds it from now on. NULL: memory is out.
cdef Group* group_new(Exchange* exchange, uint32_t reactor, uint64_t key) noexcept nogil

# Control plane, when no current route names the group any more (its subscription has ended): the key finds it
# no more, and it is freed once no reactor looks at it.
cdef void group_end(Group* group) noexcept nogil

# Control plane.
cdef bint group_has(const Group* group, const Consumer* member) noexcept nogil

# Add, or replace the options of, a member. False: memory is out or the group is full. Control plane.
cdef bint group_join(Group* group, const Route* member, bint* existed) noexcept nogil

# False: it was no member. *left = members that stay.
cdef bint group_leave(Group* group, Consumer* member, uint32_t* left) noexcept nogil

# A member gives back records that it was sent and did not acknowledge: `run` holds them (any batch). On any reactor; takes
# its own reference. `key` is Route.group.
cdef void shared_return(Exchange* exchange, uint64_t key, const Run* run) noexcept nogil
