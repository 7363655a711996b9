"""File descriptors: used up to the hard limit, and said when they are few."""
from __future__ import annotations

import logging
import resource

import pytest

from robustmq.server.limits import ENOUGH, raise_descriptors, tell_descriptors


def test_the_soft_limit_becomes_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert raise_descriptors() == hard
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(("soft", "level"), [(ENOUGH - 1, logging.WARNING), (ENOUGH, logging.INFO)])
def test_fewer_than_connections_is_said(caplog: pytest.LogCaptureFixture, soft: int, level: int) -> None:
    caplog.set_level(logging.INFO)
    tell_descriptors(soft, 1_000_000)
    assert [(record.levelno, "reactor.max_connections = 1,000,000" in record.message)
            for record in caplog.records] == [(level, True)]


@pytest.mark.parametrize("soft", [1_000_000, resource.RLIM_INFINITY])
def test_enough_says_nothing(caplog: pytest.LogCaptureFixture, soft: int) -> None:
    caplog.set_level(logging.INFO)
    tell_descriptors(soft, 1_000_000)
    assert not caplog.records
