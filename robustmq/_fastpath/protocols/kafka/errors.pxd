"""Status -> Kafka error code: the wire's word for what happened. Each status has exactly one row.

Statuses that close a connection or never leave it (NEED_MORE, PARKED, PEER_CLOSED, …) have a row too: a handler that lets
one slip into a response must not answer something plausible.
"""
from libc.stdint cimport int16_t
from robustmq._fastpath.status cimport Status


cdef enum KafkaError:
    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    MESSAGE_TOO_LARGE = 10
    NETWORK_EXCEPTION = 13
    INVALID_TOPIC_EXCEPTION = 17
    INVALID_REQUIRED_ACKS = 21
    TOPIC_AUTHORIZATION_FAILED = 29
    INVALID_TIMESTAMP = 32
    UNSUPPORTED_VERSION = 35
    INVALID_REQUEST = 42
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    INVALID_PRODUCER_EPOCH = 47
    INVALID_TXN_STATE = 48
    KAFKA_STORAGE_ERROR = 56
    FETCH_SESSION_ID_NOT_FOUND = 70
    INVALID_FETCH_SESSION_EPOCH = 71
    UNKNOWN_LEADER_EPOCH = 75
    UNSUPPORTED_COMPRESSION_TYPE = 76
    INVALID_RECORD = 87
    PRODUCER_FENCED = 90
    THROTTLING_QUOTA_EXCEEDED = 89
    UNKNOWN_TOPIC_ID = 100


cdef enum:
    ERROR_LOWEST = -1
    ERROR_COUNT = 135               # -1 .. 133: rows of a counter by code
    NO_ROW = -32768                 # error_of() of a status without a row


cdef inline int16_t error_of(Status status) noexcept nogil:
    if status == Status.OK or status == Status.DUPLICATE:   # a repeated batch succeeds with the offset it has (KIP-98)
        return KafkaError.NONE
    if status == Status.NEED_MORE or status == Status.PARKED or status == Status.ELSEWHERE:
        return KafkaError.UNKNOWN_SERVER_ERROR
    if status == Status.MALFORMED or status == Status.PROTOCOL_ERROR:
        return KafkaError.INVALID_REQUEST
    if status == Status.TOO_LARGE:
        return KafkaError.MESSAGE_TOO_LARGE
    if status == Status.UNSUPPORTED:
        return KafkaError.UNSUPPORTED_VERSION
    if status == Status.CORRUPT:
        return KafkaError.CORRUPT_MESSAGE
    if status == Status.NOT_AUTHORIZED:
        return KafkaError.TOPIC_AUTHORIZATION_FAILED
    if status == Status.UNKNOWN_TOPIC:
        return KafkaError.UNKNOWN_TOPIC_OR_PARTITION
    if status == Status.INVALID_TOPIC:
        return KafkaError.INVALID_TOPIC_EXCEPTION
    if status == Status.OUT_OF_RANGE:
        return KafkaError.OFFSET_OUT_OF_RANGE
    if status == Status.OUT_OF_ORDER:
        return KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    if status == Status.STALE_EPOCH:
        return KafkaError.INVALID_PRODUCER_EPOCH
    if status == Status.INVALID_RECORD:
        return KafkaError.INVALID_RECORD
    if status == Status.QUOTA:
        return KafkaError.THROTTLING_QUOTA_EXCEEDED
    if status == Status.TIMED_OUT:
        return KafkaError.REQUEST_TIMED_OUT
    if status == Status.PEER_CLOSED or status == Status.ADMIN_CLOSED:
        return KafkaError.NETWORK_EXCEPTION
    if status == Status.TAKEN_OVER:
        return KafkaError.PRODUCER_FENCED
    if status == Status.SHUTTING_DOWN:                      # retriable: the client looks for another leader
        return KafkaError.NOT_LEADER_OR_FOLLOWER
    if status == Status.STORE_FULL or status == Status.STORE_FAILED or status == Status.READ_ONLY:
        return KafkaError.KAFKA_STORAGE_ERROR
    if status == Status.NO_MEMORY or status == Status.INTERNAL:
        return KafkaError.UNKNOWN_SERVER_ERROR
    return NO_ROW
