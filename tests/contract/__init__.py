"""One suite per interface; every backend passes the same file."""
