"""Limits of the operating system."""
from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)
ENOUGH = 65_536


def raise_descriptors() -> int:
    """Use as many file descriptors as the hard limit allows; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError) as error:      # macOS says infinity and means OPEN_MAX
            log.info("the limit of open files stays at %d: %s", soft, error)
    if soft != resource.RLIM_INFINITY and soft < ENOUGH:
        log.warning("only %d files may be open; each connection takes one (ulimit -n, LimitNOFILE=)", soft)
    return soft
