"""Limits of the operating system."""
from __future__ import annotations

import logging
import resource
from contextlib import suppress

log = logging.getLogger(__name__)
ENOUGH = 10_000


def raise_descriptors() -> int:
    """Use as many file descriptors as the hard limit allows; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):         # macOS says infinity and means OPEN_MAX
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return soft


def tell_descriptors(soft: int, max_connections: int) -> None:
    """Say when connections will be fewer than reactor.max_connections; loudly when they will be few."""
    if soft != resource.RLIM_INFINITY and soft < max_connections:
        log.log(logging.WARNING if soft < ENOUGH else logging.INFO,
                "%s files may be open and each connection takes one: fewer than reactor.max_connections = %s "
                "(ulimit -Hn, LimitNOFILE=)", f"{soft:,}", f"{max_connections:,}")
