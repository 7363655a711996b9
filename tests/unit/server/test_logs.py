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


def test_lines_of_a_kind_are_few_and_the_rest_is_counted() -> None:
    calm = logs.Calm()

    def passes(at: float, message: str, level: int = logging.INFO) -> logging.LogRecord | None:
        record = logging.LogRecord("robustmq.x", level, "", 0, message, (at,), None)
        record.created = at
        return record if calm.filter(record) else None

    refused = "client refused: %s"
    assert sum(passes(1.0 + i / 1000, refused) is not None for i in range(500)) == logs.BURST
    assert passes(1.5, "another kind: %s") is not None
    assert passes(1.6, refused, logging.ERROR) is None
    later = passes(1.0 + logs.PERIOD_S, refused)
    assert later is not None and logs.fields_of(later) == {"omitted": 501 - logs.BURST}
    again = passes(1.1 + logs.PERIOD_S, refused)
    assert again is not None and not logs.fields_of(again)


def test_kinds_are_bounded() -> None:
    calm = logs.Calm()
    for i in range(3 * logs.KINDS_MOST):
        calm.filter(logging.LogRecord("robustmq.x", logging.INFO, "", 0, f"kind {i}", (), None))
    assert len(calm.kinds) <= logs.KINDS_MOST
