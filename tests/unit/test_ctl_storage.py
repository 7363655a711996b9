"""robustmq-ctl storage: what it verifies, shows and refuses."""
import json
from pathlib import Path

import pytest

from robustmq.cli.main import main
from tests.batches import batch
from tests.logs import ID, open_log


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Two streams, sealed, and one batch more in the journal."""
    log = open_log(tmp_path / "d")
    parts = [log.create_stream("a.b", ID, number, 1) for number in range(2)]
    for i in range(30):
        for part in parts:
            part.append(batch([b"%d" % i + b"." * 200] * 2))
    log.seal()
    parts[0].append(batch([b"last"]))
    log.close()
    return tmp_path / "d"


def test_what_is_whole(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["storage", "check", str(directory)]) == 0
    assert "2 streams, 61 batches, 121 records" in capsys.readouterr().out


def test_a_segment_that_waits_for_its_next_life_is_not_missing(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    part = log.create_stream("t", ID, 0, 1)
    for _ in range(150):
        part.append(batch([b"x" * 10_000]))
    log.seal()
    log.close()
    assert main(["storage", "check", str(tmp_path)]) == 0


@pytest.mark.parametrize("kind", ["sealed", "journal"])
def test_damage_is_told_with_its_place(directory: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    file = next((directory / kind).glob(f"*.{kind}"))
    data = bytearray(file.read_bytes())
    place = data.index(b"7....." if kind == "sealed" else b"last")
    data[place] ^= 1
    file.write_bytes(data)
    assert main(["storage", "check", "--json", str(directory)]) == 1
    told = json.loads(capsys.readouterr().out)
    damage, = told["damage"]
    assert (damage["file"], damage["topic"], damage["partition"]) == (file.name, "a.b", 0)
    assert damage["first"] == (14 if kind == "sealed" else 60) and damage["byte"] < place


def test_a_file_cut_short(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = next((directory / "sealed").glob("*.sealed"))
    file.write_bytes(file.read_bytes()[:-1000])
    assert main(["storage", "check", str(directory)]) == 1
    assert file.name in capsys.readouterr().out


def test_dump_shows_what_was_asked_for(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["storage", "dump", str(directory), "--json", "--topic", "a.b", "--partition", "0", "--offsets",
                 "57.."]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [(row["base"], row["last"], row["sealed"]) for row in rows]
    assert found == [(56, 57, True), (58, 59, True), (60, 60, False)]


def test_a_directory_in_use_and_one_that_is_none(directory: Path, tmp_path: Path,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    log = open_log(directory)
    assert main(["storage", "check", str(directory)]) == 2
    assert "in use" in capsys.readouterr().err
    log.close()
    assert main(["storage", "check", str(tmp_path / "nothing")]) == 2


def test_nothing_is_written(directory: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    main(["storage", "check", str(directory)])
    main(["storage", "dump", str(directory)])
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()} == before
