"""Load, SIGKILL, restart, and a check of the whole history: an acknowledgement is a promise."""
