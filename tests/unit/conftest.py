"""Fixtures of several unit tests."""
from tests.unit.reactor_kit import server

__all__ = ["server"]
