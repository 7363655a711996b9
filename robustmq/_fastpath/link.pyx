"""Python's handle of a protocol."""


cdef class ProtocolHandle:
    """What `Reactors.listen` takes: subclasses point `table` at their functions when they are made."""
