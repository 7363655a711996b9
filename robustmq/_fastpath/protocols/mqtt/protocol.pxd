"""MQTT behind link.pxd: the table of functions that a reactor calls, and Python's handle of the protocol."""
from robustmq._fastpath.link cimport ProtocolHandle
from robustmq._fastpath.protocols.mqtt.session cimport Core


cdef class MqttProtocol(ProtocolHandle):
    cdef Core* core
    cdef object keep            # the handles whose structures `core` points into
    cdef int qsbr               # slot of the control plane's thread while it publishes, -1
