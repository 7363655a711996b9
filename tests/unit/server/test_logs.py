"""The broker's own log."""
import asyncio
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
    calm = logs.Calm(print)

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


def pour(calm: logs.Calm, count: int) -> None:
    for i in range(count):
        calm.filter(logging.makeLogRecord({"name": "robustmq.x", "msg": "refused: %s", "args": (i,), "created": 1.0,
                                           "levelno": logging.WARNING}))


def test_what_was_left_out_is_told_when_no_further_line_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PERIOD_S", 0.01)

    async def scenario() -> list[logging.LogRecord]:
        told: asyncio.Queue[logging.LogRecord] = asyncio.Queue()
        calm = logs.Calm(told.put_nowait)
        calm.start(asyncio.get_running_loop())
        found = []
        for _ in range(2):
            await asyncio.to_thread(pour, calm, logs.BURST + 1)
            found.append(await asyncio.wait_for(told.get(), 20))
        await asyncio.to_thread(pour, calm, logs.BURST)
        assert told.empty() and calm.kinds
        return found

    for record in asyncio.run(scenario()):
        assert (record.getMessage(), record.levelname) == ("refused: %s", "WARNING")
        assert logs.fields_of(record) == {"omitted": 1}


def test_what_is_owed_at_the_end_is_told_once() -> None:
    told: list[logging.LogRecord] = []

    async def scenario() -> None:
        calm = logs.Calm(told.append)
        calm.start(asyncio.get_running_loop())
        pour(calm, logs.BURST + 3)
        calm.end()
        calm.end()

    asyncio.run(scenario())
    assert [logs.fields_of(record) for record in told] == [{"omitted": 3}]


def test_kinds_are_bounded() -> None:
    calm = logs.Calm(print)
    for i in range(3 * logs.KINDS_MOST):
        calm.filter(logging.LogRecord("robustmq.x", logging.INFO, "", 0, f"kind {i}", (), None))
    assert len(calm.kinds) <= logs.KINDS_MOST
