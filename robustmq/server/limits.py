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


def warn_about_descriptors(soft: int) -> None:
    """Tell when connections will be few."""
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        log.warning("only %d files may be open; each connection takes one (ulimit -n, LimitNOFILE=)", soft)
