"""What ends a start."""


class StartError(Exception):
    """The broker cannot start as it is told to: one line for stderr, exit status 2, never a traceback."""
