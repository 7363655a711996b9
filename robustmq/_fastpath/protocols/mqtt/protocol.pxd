"""MQTT behind link.pxd: the table of functions that a reactor calls, and Python's handle of the protocol."""
from libc.stdint cimport uint32_t, uint64_t, uintptr_t
from robustmq._fastpath.broker.rounds cimport Round
from robustmq._fastpath.link cimport ProtocolHandle
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.protocols.mqtt.session cimport Core, Session


cdef class MqttProtocol(ProtocolHandle):
    cdef Core* core
    cdef object keep            # the handles whose structures `core` points into
    cdef int qsbr               # slot of the control plane's thread while it publishes, -1
    cdef Mailbox box            # News of sessions; event_fd -1: the log is in memory, sessions end with the broker
    cdef Mail room              # of await_room
    cdef object on_room
    cdef Round round
    cdef object loop            # which watches `box`, None
    cdef dict durable           # number -> address, of the sessions that survive the broker
    cdef dict wishes            # number -> [futures]: for the next round
    cdef dict taken             # the same of the round under way; None: there is none
    cdef dict saving            # the same of snapshots under way

    cdef int deny(self, filters) except -1
    cdef int online(self) except -1
    cdef void on_news(self, uint32_t kind, uint64_t number, uint64_t value)
    cdef void on_floor(self)
