"""Runs whose records are in the blob store: what the control plane needs to send them there and to bring them back.

    release     the run of an uploaded file is replaced by a row without records, in a sealed file of a few hundred bytes;
                the file itself is deleted as any other that no run needs
    ELSEWHERE   whoever reads such a run gets it, and the run is asked for: `Remote.wants`
    recall      the records, copied from the object into a sealed file of this log, take the place of that row

Each step is the commit of a sealed file, so a crash leaves the run here, there, or both. The control plane does one step
at a time.
"""
from robustmq._fastpath.mailbox cimport Mail, Mailbox
from robustmq._fastpath.stores.log cimport Log
from robustmq._fastpath.stores.sealed_writer cimport Writer


cdef class Remote:
    cdef readonly Log log
    cdef Mailbox box
    cdef Mail mail
    cdef object news                # called when something is wanted

    cdef commit(self, Writer* writer)
    cdef collect(self, Writer* writer, list runs)
    cdef detach(self)
