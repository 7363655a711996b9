"""What a reactor tells an MQTT connection, packet by packet."""
from robustmq._fastpath.protocols.mqtt.session cimport Core


# Fill the function table of `core`.
cdef void events_install(Core* core) noexcept nogil
