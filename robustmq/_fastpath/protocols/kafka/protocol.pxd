"""Python's handle of Kafka: the tables that all its connections share, made before the reactors start."""
from robustmq._fastpath.link cimport ProtocolHandle
from robustmq._fastpath.protocols.kafka.state cimport Kafka


cdef class KafkaProtocol(ProtocolHandle):
    cdef Kafka* kafka
    cdef object keep            # the handles whose structures `kafka` points into
