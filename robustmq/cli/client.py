"""The admin API as robustmq-ctl calls it."""
from __future__ import annotations

import json
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

TIMEOUT_S = 30


class ApiError(Exception):
    """What the broker refused, or why it cannot be reached."""


class Client:
    """One broker's API below `url`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/api/v1/"

    def call(self, method: str, *path: str, query: dict[str, str] | None = None,
             body: dict[str, object] | None = None) -> dict[str, object]:
        """The answer's JSON; {} when it has none. ApiError."""
        url = self._url + "/".join(quote(part, safe="") for part in path)
        if query:
            url += "?" + urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urlopen(request, timeout=TIMEOUT_S) as response:
                found = json.loads(response.read() or b"{}")
        except HTTPError as error:
            raise ApiError(reason_of(error)) from error
        except (URLError, HTTPException, OSError) as error:
            why = error.reason if isinstance(error, URLError) else error
            raise ApiError(f"no broker answers at {self._url}: {why}; tell its http.listen with --server") from error
        except ValueError as error:
            raise ApiError(f"{self._url} is not a broker's admin API") from error
        return found if isinstance(found, dict) else {}


def reason_of(error: HTTPError) -> str:
    """What the broker said about its refusal."""
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {error.reason}"
