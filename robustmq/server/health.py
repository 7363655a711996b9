"""What Log.health, Log.unreadable and MetaStore.health mean to people."""

READ_ONLY = {
    "full": "the log is read-only: the disk is full; clients can read but not publish; "
            "free space, then restart the broker",
    "failed": "the log is read-only: the disk reported a write error; clients can read but not publish; "
              "repair or replace the disk, then restart the broker",
}
UNREADABLE = ("a sealed file of the log cannot be read: the disk has lost a page of it; "
              "clients get errors for what it holds; look at the kernel's log, repair or replace the disk, "
              "then restart the broker")
META_READ_ONLY = {
    "full": "the metadata store is read-only: the disk is full; topics cannot be created, configured or deleted; "
            "free space, then restart the broker",
    "failed": "the metadata store is read-only: the disk reported an error, or refused to be written; topics cannot be "
              "created, configured or deleted; repair or replace the disk, then restart the broker",
}


def why_not_ready(log: str, meta: str) -> str | None:
    """Both healths as sentences; None when both are "ok"."""
    sentences = [sentence for sentence in (READ_ONLY.get(log), META_READ_ONLY.get(meta)) if sentence is not None]
    return ". ".join(sentences) or None
