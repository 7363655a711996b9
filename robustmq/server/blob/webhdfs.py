"""HDFS through WebHDFS, its REST interface: the only one whose clients can be held to a time limit.

An object is written to PREFIX/.writing/… and renamed: the NameNode renames no file onto another. User: `?user=` in the
URL, or HADOOP_USER_NAME; a delegation token: HADOOP_TOKEN.
"""
from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from typing import Any, cast
from urllib.parse import quote, urlencode

from robustmq.server.blob.blob import Blob, BlobError, BlobExists, BlobMissing, Data, Item

CONNECT_S = 5
WRITING = ".writing"


class Refused(Exception):
    """HDFS's own error; `name` is the Java class of its exception."""

    def __init__(self, status: int, body: bytes) -> None:
        told: dict[str, Any] = {}
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(body)["RemoteException"]
        self.name = str(told.get("exception", ""))
        self.status = status
        super().__init__(str(told.get("message") or f"HTTP status {status}"))


class WebHdfs(Blob):
    """Objects below directory `root` of the NameNode at `base` (http://host:port). ImportError without urllib3."""

    def __init__(self, url: str, base: str, root: str, options: dict[str, str], timeout_s: float) -> None:
        super().__init__(url, timeout_s)
        import urllib3
        self._base = f"{base}/webhdfs/v1"
        self._root = root.rstrip("/")
        self._who = {name: value for name, value in (
            ("user.name", options.get("user") or os.environ.get("HADOOP_USER_NAME", "")),
            ("delegation", os.environ.get("HADOOP_TOKEN", ""))) if value}
        self._http = urllib3.PoolManager(maxsize=8, retries=False, timeout=urllib3.Timeout(
            connect=min(CONNECT_S, timeout_s), read=timeout_s))

    def _put(self, key: str, data: Data) -> None:
        temporary = f"{WRITING}/{uuid.uuid4().hex}"
        try:
            place = self._ask("PUT", temporary, op="CREATE", overwrite="false", noredirect="true")["Location"]
            with memoryview(data) as view:
                self._http_ask("PUT", place, cast(bytes, view))
            self._ask("PUT", key.rpartition("/")[0], op="MKDIRS")
            renamed = self._ask("PUT", temporary, op="RENAME", destination=f"{self._root}/{key}")["boolean"]
        except Exception:
            with suppress(Exception):
                self._delete(temporary)
            raise
        if not renamed:
            self._delete(temporary)
            if self._head(key) is None:
                raise BlobError(f"{self.url}: HDFS does not rename to {key}; see the NameNode's log for the reason")
            raise BlobExists(f"{self.url} has {key} already")

    def _get_range(self, key: str, offset: int, length: int) -> bytes:
        size = self._head(key)
        if size is None:
            raise BlobMissing(f"{self.url} has no {key}")
        if offset >= size or length == 0:
            return b""
        try:
            place = self._ask("GET", key, op="OPEN", offset=str(offset), length=str(min(length, size - offset)),
                              noredirect="true")["Location"]
            return self._http_ask("GET", place)
        except Refused as error:
            if error.name == "FileNotFoundException":
                raise BlobMissing(f"{self.url} has no {key}") from None
            raise

    def _head(self, key: str) -> int | None:
        try:
            found = self._ask("GET", key, op="GETFILESTATUS")["FileStatus"]
        except Refused as error:
            if error.name == "FileNotFoundException":
                return None
            raise
        return int(found["length"]) if found["type"] == "FILE" else None

    def _list(self, prefix: str) -> list[Item]:
        found: list[Item] = []
        places = [prefix]
        while places:
            place = places.pop()
            for status in self._entries(place):
                key = f"{place}/{status['pathSuffix']}".lstrip("/")
                if status["type"] == "FILE":
                    found.append(Item(key, int(status["length"])))
                elif status["pathSuffix"] != WRITING:
                    places.append(key)
        return found

    def _entries(self, place: str) -> list[dict[str, Any]]:
        try:
            return list(self._ask("GET", place, op="LISTSTATUS")["FileStatuses"]["FileStatus"])
        except Refused as error:
            if error.name == "FileNotFoundException":
                return []
            raise

    def _delete(self, key: str) -> None:
        self._ask("DELETE", key, op="DELETE", recursive="false")

    def _ask(self, method: str, path: str, **query: str) -> dict[str, Any]:
        """An operation of the NameNode."""
        where = quote(f"{self._root}/{path}".rstrip("/") or "/")
        body = self._http_ask(method, f"{self._base}{where}?{urlencode(query | self._who)}")
        answer = json.loads(body) if body else {}
        assert isinstance(answer, dict)
        return answer

    def _http_ask(self, method: str, url: str, data: bytes | None = None) -> bytes:
        response = self._http.request(method, url, body=data, redirect=False,
                                      headers={"Content-Type": "application/octet-stream"})
        if response.status >= 300:
            raise Refused(response.status, response.data)
        return response.data
