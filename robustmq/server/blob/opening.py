"""The blob store that a URL names."""
from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from robustmq.server.blob.blob import Blob, BlobError
from robustmq.server.blob.directory import Directory

OPTIONS = {"file": set[str](), "s3": {"endpoint", "region"}, "webhdfs": {"user"}, "swebhdfs": {"user"}}


def open_blob(url: str, timeout_s: float) -> Blob:
    """Nothing is asked of the store yet. BlobError: the URL is wrong, or a package is missing."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = unquote(parts.path)
    if parts.scheme not in OPTIONS:
        raise BlobError(f'{url} names no blob store; write "file:///path", "s3://bucket/prefix?endpoint=…" or '
                        '"webhdfs://host:9870/path"')
    if unknown := sorted(set(options) - OPTIONS[parts.scheme]):
        raise BlobError(f"{url}: {parts.scheme} has no option {', '.join(unknown)}; it has "
                        f"{', '.join(sorted(OPTIONS[parts.scheme])) or 'none'}")
    if parts.scheme == "file":
        if parts.netloc or len(path) < 2:
            raise BlobError(f'{url} names no directory; write "file:///path" with three slashes')
        return Directory(url, Path(path), timeout_s)
    if not parts.hostname:
        raise BlobError(f"{url} names no {'bucket' if parts.scheme == 's3' else 'host'}")
    try:
        if parts.scheme == "s3":
            from robustmq.server.blob.s3 import S3
            return S3(url, parts.netloc, path.strip("/"), options, timeout_s)
        from robustmq.server.blob.webhdfs import WebHdfs
        base = f"{'https' if parts.scheme == 'swebhdfs' else 'http'}://{parts.netloc}"
        return WebHdfs(url, base, path, options, timeout_s)
    except ImportError as error:
        raise BlobError(f"{url} needs the package {error.name}: "
                        f"pip install 'robustmq[{'s3' if parts.scheme == 's3' else 'hdfs'}]'") from error
