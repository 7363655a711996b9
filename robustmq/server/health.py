"""What the health of the log (Log.health) and of the metadata store (MetaStore.health) means to people."""

READ_ONLY = {
    "full": "the log is read-only: the disk is full; clients can read but not publish; "
            "free space, then restart the broker",
    "failed": "the log is read-only: the disk reported a write error; clients can read but not publish; "
              "repair or replace the disk, then restart the broker",
}
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
