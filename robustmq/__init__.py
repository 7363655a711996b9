"""RobustMQ: one broker, one log, any protocol."""

__version__ = "0.1.0"
