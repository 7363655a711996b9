"""The topics of a log that was opened again."""
from robustmq._fastpath.broker.topic cimport TopicTable
from robustmq._fastpath.status cimport Status


# Before anybody else knows the table: a topic for the streams of each topic id. A partition whose stream is lost gets a new
# one, as durable as its neighbours. NO_MEMORY, or the store's.
cdef Status topics_adopt(TopicTable* table) noexcept nogil
