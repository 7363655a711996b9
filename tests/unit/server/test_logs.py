"""The broker's own log."""
import io
import json
import logging

import pytest

from robustmq.server import logs


def line(form: str, message: str, **fields: object) -> str:
    out = io.StringIO()
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        logs.start("info", form, out)
        logging.getLogger("robustmq.server.x").info(message, extra=fields)
        logging.getLogger("robustmq.server.x").debug("not this")
    finally:
        logging.getLogger().handlers[:], level = before
        logging.getLogger().setLevel(level)
    return out.getvalue()


def test_json_off_a_terminal() -> None:
    found = json.loads(line("auto", "client refused", client="a\nb", link=7))
    assert found.pop("time").endswith("Z")
    assert found == {"level": "info", "logger": "server.x", "message": "client refused", "client": "a\nb", "link": 7}


@pytest.mark.parametrize("evil", ["a\nb", "\x1b[31m", "\r", "\x00"])
def test_one_event_is_one_line_whatever_a_peer_is_called(evil: str) -> None:
    found = line("human", "client refused", client=evil)
    assert found.count("\n") == 1 and evil not in found.rstrip("\n")
    assert line("json", evil).count("\n") == 1
