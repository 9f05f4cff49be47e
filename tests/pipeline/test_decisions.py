"""The store of decisions: what is read, what is written, what is reported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from batchcolor.pipeline.decisions.decision import Decision, InvalidDecisionError, ShotDecision
from batchcolor.pipeline.decisions.store import DecisionStore

WRITER = """
import sys
from pathlib import Path
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore
store = DecisionStore(Path(sys.argv[1]))
for number in range(40):
    store.append(Decision(source=f"{sys.argv[2]}-{number}.jpg", model="m" * 500))
"""


def _make(**values: object) -> Decision:
    return Decision.from_values(values)


def test_decision_survives_a_line() -> None:
    decision = _make(
        source="a/b \udcff\n'.jpg",
        digest="d",
        state="approved",
        model="delta",
        strength=0.5,
        options={"vividness": 0.5, "flag": True},
        reference="r.jpg",
        hints=[{"points": [[1, 2], [3, 4.5]], "color": "#ABCDEF", "width": 3}],
        shots=[{"frame": 7, "state": "rejected"}],
    )
    assert Decision.parse(decision.as_line()) == decision
    assert decision.options == {"vividness": "0.5", "flag": "true"}
    assert decision.hints[0].color == "#abcdef"
    assert decision.shots == (ShotDecision(frame=7, state="rejected"),)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"strength": 3}', "strength = 3"),
        ('{"strength": NaN}', "strength"),
        ('{"version": 2}', "later batchcolor"),
        ('{"colour": "red"}', "colour: there is no such key"),
        ('{"hints": [{"points": [], "color": "#000000"}]}', "hints.0.points"),
        ('{"hints": [{"points": [[1, 1e99]], "color": "#000000"}]}', "hints.0.points.0.1"),
        ('{"hints": [{"points": [[1, 2]], "color": "red"}]}', "#rrggbb"),
        ('{"state": "good"}', "state"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_no_decision_is_refused_with_a_reason(line: str, reason: str) -> None:
    with pytest.raises(InvalidDecisionError, match=reason.replace(".", r"\.")):
        Decision.parse(line)


def test_last_line_of_a_source_counts(tmp_path: Path) -> None:
    store = DecisionStore(tmp_path)
    store.append(_make(source="a.jpg", strength=0.5), _make(source="b.jpg", model="beta"))
    store.append(_make(source="a.jpg", state="approved"))
    found = DecisionStore(tmp_path).find("a.jpg")
    assert found is not None
    assert (found.state, found.strength) == ("approved", None)
    assert found.time
    assert len(store) == 2
    assert len(store.path.read_bytes().splitlines()) == 3


def test_damaged_file_keeps_every_byte_and_good_lines_count(tmp_path: Path) -> None:
    store = DecisionStore(tmp_path)
    store.append(_make(source="a.jpg", strength=0.5))
    damaged = store.path.read_bytes() + b'\xff\xfe\n\n{"state": "approved"}\n{"source": "b.jpg'
    store.path.write_bytes(damaged)
    again = DecisionStore(tmp_path)
    again.append(_make(source="c.jpg"))
    assert again.path.read_bytes().startswith(damaged + b"\n")
    assert [decision.source for decision in again] == ["a.jpg", "c.jpg"]
    assert [bad.number for bad in again.bad_lines] == [2, 4, 5]
    assert again.bad_lines[1].reason == "it names no source"


def test_renamed_source_is_found_by_its_digest(tmp_path: Path) -> None:
    store = DecisionStore(tmp_path)
    store.append(_make(source="old.jpg", digest="1", strength=0.5))
    store.append(_make(source="swapped.jpg", digest="2", strength=0.7))
    moved = store.find("new.jpg", "1")
    assert moved is not None
    assert moved.strength == 0.5
    swapped = store.find("old.jpg", "2")
    assert swapped is not None
    assert swapped.strength == 0.7
    changed = store.find("old.jpg", "3")  # its metadata were edited, for instance
    assert changed is not None
    assert changed.strength == 0.5
    store.append(_make(source="old.jpg", digest="4", strength=0.9))  # another picture by now
    assert store.find("new.jpg", "1") is None
    assert store.find("other.jpg", "3") is None
    assert store.find("other.jpg") is None


def test_changes_of_another_program_are_seen(tmp_path: Path) -> None:
    store, other = DecisionStore(tmp_path), DecisionStore(tmp_path)
    other.append(_make(source="a.jpg", state="approved"))
    assert store.refresh()
    assert not store.refresh()
    assert store.find("a.jpg") is not None


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [writer.wait(300) for writer in writers] == [0, 0]
    store = DecisionStore(tmp_path)
    assert len(store) == 80
    assert not store.bad_lines


def test_decision_over_another_fills_what_is_open() -> None:
    upper = _make(source="a.jpg", strength=0.5)
    lower = _make(state="rejected", strength=0.8, options={"k": "v"})
    merged = upper.over(lower)
    assert merged == _make(source="a.jpg", strength=0.5, state="rejected", options={"k": "v"})


def test_reset_is_a_decision_without_values() -> None:
    assert _make(source="a.jpg", digest="1", time="now").is_empty
    assert not _make(source="a.jpg", state="approved").is_empty
    assert not _make(source="a.jpg", state="approved").changes_colors
    assert _make(source="a.jpg", strength=1).changes_colors
    assert json.loads(_make(source="a.jpg").as_line()) == {"version": 1, "source": "a.jpg"}


@pytest.mark.parametrize("name", ["decisions.csv", "decisions.json"])
def test_exported_decisions_can_be_imported_again(command, tmp_path: Path, name: str) -> None:
    store = DecisionStore(tmp_path / "out")
    hints = [{"points": [[1, 2], [3, 4]], "color": "#123456", "width": 2}]
    store.append(
        _make(source='a "quoted", name;\n.jpg', strength=0.5, options={"vividness": "0.5"}),
        _make(source="b.jpg", hints=hints, digest="0123", state="approved"),
        _make(source="film.mkv", shots=[{"frame": 3, "strength": 0.2}], reference="r.jpg"),
        _make(source="reset.jpg", state="approved"),
        _make(source="reset.jpg"),
    )
    assert command("decisions", "export", tmp_path / "out", tmp_path / name).returncode == 0
    done = command("decisions", "import", tmp_path / "other", tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert "3 decisions imported" in done.stderr
    assert list(DecisionStore(tmp_path / "other")) == [one for one in store if not one.is_empty]


def test_table_of_a_spreadsheet_with_semicolons_is_imported(command, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes("\ufeffsource;state;strength\r\nä.jpg;rejected;\r\nb.jpg;;0,5\r\n".encode())
    assert command("decisions", "import", tmp_path / "out", table).returncode == 0
    found = {decision.source: decision for decision in DecisionStore(tmp_path / "out")}
    assert found["ä.jpg"].state == "rejected"
    assert found["b.jpg"].strength == 0.5


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("source,strength\na.jpg,1\nb.jpg,9\n", "line 3: strength = 9.0"),
        ("source,colour\na.jpg,red\n", "line 2: colour: there is no such key"),
        ("source,hints\na.jpg,[1\n", "line 2: hints"),
        ('[{"source": "a.jpg"}, {"state": "approved"}]', "decision 2: it names no source"),
        ('{"source": "a.jpg"}\n{"source"', "line 2: it is not JSON"),
    ],
)
def test_wrong_table_is_refused_as_a_whole(command, tmp_path, content: str, reason: str) -> None:
    (tmp_path / "table").write_text(content)
    done = command("decisions", "import", tmp_path / "out", tmp_path / "table")
    assert done.returncode == 2
    assert reason in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("action", ["import", "export"])
def test_decisions_are_not_written_to_a_folder_of_sources(command, tmp_path, action: str) -> None:
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.jpg").write_bytes(b"scan")
    (tmp_path / "table.csv").write_text("source,state\na.jpg,rejected\n")
    done = command("decisions", action, tmp_path / "scans", tmp_path / "table.csv")
    assert done.returncode == 2
    assert "not an output folder of batchcolor" in done.stderr
    assert [path.name for path in (tmp_path / "scans").iterdir()] == ["a.jpg"]


def test_import_before_the_first_run_says_how_to_use_the_folder(command, tmp_path) -> None:
    (tmp_path / "table.csv").write_text("source,state\na.jpg,rejected\n")
    done = command("decisions", "import", tmp_path / "out", tmp_path / "table.csv")
    assert done.returncode == 0
    assert "has no results yet" in done.stderr
    assert "run the same command again" not in done.stderr


def test_import_reports_paths_that_no_job_has_read(command, flat, album, tmp_path) -> None:
    command("run", album(2), "-m", flat, "-o", tmp_path / "out")
    entries = (tmp_path / "out" / ".batchcolor" / "journal.jsonl").read_text().splitlines()
    source = Path(json.loads(entries[-1])["source"]).relative_to(tmp_path / "album").as_posix()
    table = tmp_path / "table.csv"
    table.write_text(f"source,state\n{source},approved\nmisspelled.jpg,approved\n")
    done = command("decisions", "import", tmp_path / "out", table)
    assert done.returncode == 0
    assert "No picture of a job has the path misspelled.jpg, for which" in done.stderr
    table.write_text(f"source,state\n{source},approved\n")
    done = command("decisions", "import", tmp_path / "out", table)
    assert "No picture of a job" not in done.stderr


def test_export_reports_bad_lines_and_prints_the_rest(command, tmp_path: Path) -> None:
    store = DecisionStore(tmp_path / "out")
    store.append(_make(source="a.jpg", state="approved"))
    with store.path.open("ab") as file:
        file.write(b"{\n")
    done = command("decisions", "export", tmp_path / "out")
    assert done.returncode == 3
    assert [row["source"] for row in json.loads(done.stdout)] == ["a.jpg"]
    assert "line 2 is not applied" in done.stderr
