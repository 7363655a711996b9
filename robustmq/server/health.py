"""What the log's health means to people (Log.health)."""

READ_ONLY = {
    "full": "the log is read-only: the disk is full; clients can read but not publish; "
            "free space, then restart the broker",
    "failed": "the log is read-only: the disk reported a write error; clients can read but not publish; "
              "repair or replace the disk, then restart the broker",
}
