"""S3 and what speaks its protocol, through obstore. A create is a PUT with `If-None-Match: *`.

Credentials come from where AWS's own tools look: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
AWS_REGION, a web identity, or the machine's role.
"""
from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from robustmq.server.blob.blob import Blob, BlobError, BlobExists, BlobMissing, Data, Item

if TYPE_CHECKING:
    from obstore.store import S3Config

CONNECT_S = 5
RETRIES = 2
PUT_PATIENCE = 32
STATUS = re.compile(r"status code: (\d+ [A-Za-z ]+)")


class S3(Blob):
    """Objects of a bucket, below `prefix`. ImportError without obstore."""

    def __init__(self, url: str, bucket: str, prefix: str, options: dict[str, str], timeout_s: float) -> None:
        super().__init__(url, timeout_s)
        import obstore
        from obstore.store import S3Store
        self._api = obstore
        config: S3Config = {"region": options["region"]} if "region" in options else {}
        if "endpoint" in options:
            config["endpoint"] = options["endpoint"]

        def store(request_s: float) -> S3Store:
            return S3Store(
                bucket, prefix=prefix or None, config=config,
                client_options={"connect_timeout": timedelta(seconds=min(CONNECT_S, timeout_s)),
                                "timeout": timedelta(seconds=request_s),
                                "allow_http": options.get("endpoint", "").startswith("http://")},
                retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=timeout_s)})

        self._store = store(timeout_s)
        self._slow = store(timeout_s * PUT_PATIENCE)        # whoever waits for a put gives up earlier

    def _put(self, key: str, data: Data) -> None:
        try:
            self._api.put(self._slow, key, data, mode="create", use_multipart=False)
        except self._api.exceptions.AlreadyExistsError:
            raise BlobExists(f"{self.url} has {key} already") from None
        except FileNotFoundError:
            raise BlobError(f"{self.url}: there is no such bucket; make it, or correct tier.url") from None

    def _get_range(self, key: str, offset: int, length: int) -> bytes:
        if length == 0 or offset >= self._size(key):
            return b""
        try:
            return bytes(self._api.get(self._store, key, options={"range": (offset, offset + length)}).bytes())
        except FileNotFoundError:
            raise BlobMissing(f"{self.url} has no {key}") from None

    def _size(self, key: str) -> int:
        size = self._head(key)
        if size is None:
            raise BlobMissing(f"{self.url} has no {key}")
        return size

    def _head(self, key: str) -> int | None:
        try:
            return int(self._api.head(self._store, key)["size"])
        except FileNotFoundError:
            return None

    def _list(self, prefix: str) -> list[Item]:
        pages = self._api.list(self._store, prefix or None)
        return [Item(meta["path"], meta["size"]) for page in pages for meta in page]

    def _delete(self, key: str) -> None:
        try:
            self._api.delete(self._store, key)
        except FileNotFoundError:
            return

    def _explained(self, error: Exception) -> BlobError:
        status = STATUS.search(str(error))
        return super()._explained(Exception(status[1].strip()) if status else error)
