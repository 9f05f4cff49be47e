"""Shards: which sources they have, what their results are called, what they leave to others."""

from __future__ import annotations

import itertools
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from batchcolor.errors import UsageError
from batchcolor.images.scan import SkippedEntry
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.planning.make_plan import make_plan
from batchcolor.pipeline.planning.task import Task
from batchcolor.storage.atomic import (
    SUFFIX,
    claim_folder,
    release_folder,
    remove_stale_temporaries,
    temporary_path,
)
from batchcolor.storage.in_flight import InFlightRecord, forget_interrupted, take_interrupted
from batchcolor.storage.journal import Journal
from batchcolor.storage.shard import Shard, hash_name, parse_shard, parse_tag

Command = Callable[..., subprocess.CompletedProcess[str]]


def results(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".batchcolor" not in path.parts
    }


# ---- the parts ---------------------------------------------------------------------------


def test_the_hash_of_a_name_is_the_same_on_every_machine():
    assert hash_name("1931 summer/a.jpg") == 12798280630541465042
    assert hash_name("Zu\u0308rich.jpg") == hash_name("Z\u00fcrich.jpg")
    assert hash_name("odd \udcff.jpg") != hash_name("odd \udcfe.jpg")


def test_shards_are_disjoint_and_complete_and_of_similar_size():
    names = [f"folder {number % 7}/{number}.jpg" for number in range(3000)]
    for count in (1, 2, 3, 8, 64):
        parts = [[n for n in names if Shard(i, count).has(n)] for i in range(1, count + 1)]
        assert sorted(itertools.chain(*parts)) == sorted(names)
        expected = len(names) / count
        assert all(abs(len(part) - expected) < 6 * math.sqrt(expected) for part in parts)


def test_shards_of_two_numbers_overlap_where_a_name_is_in_both():
    names = [str(number) for number in range(2000)]
    for one, other in itertools.product(
        [Shard(i, n) for n in (1, 2, 4, 6) for i in range(1, n + 1)], repeat=2
    ):
        both = any(one.has(name) and other.has(name) for name in names)
        assert one.overlaps(other) == both
        assert one.contains(other) == all(one.has(name) for name in names if other.has(name))


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "4", "1/", "/4", "a/b", "-1/4", "1/4/2", ""])
def test_a_shard_that_is_none_is_refused_with_a_sentence(command: Command, tmp_path, text):
    (tmp_path / "in").mkdir()
    Image.new("L", (8, 8), 9).save(tmp_path / "in" / "a.png")
    done = command("run", "in", "--shard", text, "-o", "out")
    assert (done.returncode, (tmp_path / "out").exists()) == (2, False)
    assert "--shard" in done.stderr
    assert "1/4" in done.stderr


def test_a_shard_is_given_by_text_tuple_file_and_tag(command: Command, flat, album, tmp_path):
    assert parse_shard(" 3/64 ") == Shard(3, 64) == parse_tag("3-of-64")
    assert [parse_tag(text) for text in ("3-of-2", "x", "0-of-3", "")] == [None] * 4
    with pytest.raises(UsageError, match="part from 1 to N"):
        RunSettings(sources=("x",), shard=(3, 2))
    folder = album(12)
    (folder / "batchcolor.toml").write_text('shard = "2/3"\n')
    report = json.loads(command("run", folder, "-o", "out", "-m", flat, "--json").stdout)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")]
    assert report["shard"] == "2/3"
    assert report["done"] == sum(Shard(2, 3).has(name) for name in names) > 0


# ---- names of results --------------------------------------------------------------------

STEMS = ("a", "A", "a-png", "a-png-2", "a-tif", "a.b", "a.b-c", "-", "a-", "a-strip", "a-png-strip")


@pytest.mark.parametrize("options", [{}, {"format": "jpeg"}, {"strip": True}, {"to_frames": True}])
def test_results_are_called_as_without_shards(tmp_path, make_clip, options):
    folder, generator = tmp_path / "in", random.Random(4)
    contents = [make_clip(tmp_path / "clip.mp4", frames=2).read_bytes(), b"no picture"]
    for suffix in ("png", "bmp", "gif"):
        Image.new("L", (8, 8), 9).save(tmp_path / f"x.{suffix}")
        contents.append((tmp_path / f"x.{suffix}").read_bytes())
    for place, stem in itertools.product((folder, folder / "sub", folder / "SUB"), STEMS):
        place.mkdir(parents=True, exist_ok=True)
        for suffix in generator.sample(["", ".png", ".tif", ".TIF", ".mp4", ".jpg", ".bmp"], 4):
            (place / f"{stem}{suffix}").write_bytes(generator.choice(contents))

    def plan(shard: Shard | None) -> dict[Path, tuple[Path, Path | None]]:
        sources = (str(folder), str(folder / "sub"))
        made = make_plan(
            RunSettings(sources=sources, output=tmp_path / "out", shard=shard, **options)
        )
        found = made.tasks(Journal(tmp_path / "out"), "")
        return {t.source.path: (t.target, t.strip) for t in found if isinstance(t, Task)}

    whole = plan(None)
    assert len({str(target).casefold() for target, _ in whole.values()}) == len(whole) > 60
    for count in (2, 5, 40):
        parts = [plan(Shard(index, count)) for index in range(1, count + 1)]
        assert sum(map(len, parts)) == len(whole)
        assert dict(itertools.chain(*(part.items() for part in parts))) == whole


def test_files_of_other_shards_are_not_opened(tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(60):
        Image.new("L", (8, 8), 9).save(folder / f"scan-{number}.png")
    opened: list[Path] = []
    from batchcolor.images import scan as module

    read_head = module._read_head
    monkeypatch.setattr(module, "_read_head", lambda path: opened.append(path) or read_head(path))
    plan = make_plan(RunSettings(sources=(str(folder),), shard=Shard(1, 6)))
    tasks = list(plan.tasks(Journal(tmp_path / "out"), ""))
    assert 0 < len(opened) == len(tasks) < 30


def test_entries_that_are_no_pictures_are_reported_by_one_shard(tmp_path):
    folder = tmp_path / "in"
    (folder / "@eaDir").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "@eaDir/c.jpg", "d.jpg", ".hidden.jpg"):
        (folder / name).write_bytes(b"text")

    def skipped(shard: Shard | None) -> list[Path]:
        plan = make_plan(RunSettings(sources=(str(folder),), shard=shard))
        found = plan.tasks(Journal(tmp_path / "out"), "")
        return [entry.path for entry in found if isinstance(entry, SkippedEntry)]

    parts = itertools.chain(*(skipped(Shard(index, 4)) for index in range(1, 5)))
    assert sorted(parts) == sorted(skipped(None)) != []


# ---- one output folder -------------------------------------------------------------------


def test_shards_at_the_same_time_give_the_results_of_a_job_without_shards(
    command: Command, environment, flat, album, tmp_path
):
    folder = album(24)
    for number in (3, 5, 8):
        shutil.copy(folder / "001.jpg", folder / f"twin {number}.jpg")
        Image.open(folder / "003.jpg").save(folder / f"twin {number}.png")
    (tmp_path / "whole").mkdir()
    words = ["run", str(folder), "-m", flat, "--format", "jpeg", "--gallery", "-o"]
    shard = [sys.executable, "-m", "batchcolor", *words, "out", "--report", "made.json", "--shard"]
    running = [
        subprocess.Popen([*shard, f"{index}/2"], env=environment, cwd=tmp_path) for index in (1, 2)
    ]
    assert [process.wait(300) for process in running] == [0, 0]
    assert command(*words, "whole/out").returncode == 0
    assert results(tmp_path / "out") == results(tmp_path / "whole" / "out")
    page = tmp_path / "whole" / "out-gallery" / "index.html"
    assert (tmp_path / "out-gallery" / "index.html").read_bytes() == page.read_bytes()
    reports = [json.loads((tmp_path / f"made-{i}-of-2.json").read_text()) for i in (1, 2)]
    assert sum(report["done"] for report in reports) == 30
    verified = json.loads(command("verify", "out", "--json").stdout)
    assert (verified["intact"], verified["other_files"]) == (30, 0)
    for more in (["--shard", "2/5"], []):
        again = json.loads(command(*words, "out", "--json", *more).stdout)
        assert again["done"] == again["existed"] == 0 < again["skipped"]
    state = tmp_path / "out" / ".batchcolor"
    assert [path.name for path in state.glob("gallery*.jsonl")] == ["gallery.jsonl"]
    assert (tmp_path / "out-gallery" / "index.html").read_bytes() == page.read_bytes()


def test_a_later_run_has_the_last_word_whatever_the_clock_says(
    command: Command, flat, album, tmp_path
):
    folder, out = album(4), tmp_path / "out"
    for more in (["--shard", "1/2"], ["--shard", "2/2"], [], ["--shard", "1/1"]):
        words = ("run", folder, "-m", flat, "-o", out, "--if-exists", "overwrite", *more)
        strength = "0.5" if not more else "1"
        assert command(*words, "--strength", strength).returncode == 0
        for path in (out / ".batchcolor").glob("journal*"):  # as if clocks went backwards
            path.touch()
    last = {entry.target: entry.result_sha256 for entry in Journal(out).results()}
    command("run", folder, "-m", flat, "-o", "whole")
    assert last == {one.target: one.result_sha256 for one in Journal(tmp_path / "whole").results()}
    assert command("verify", out).returncode == 0


def test_an_empty_shard_ends_with_a_sentence(command: Command, flat, album, tmp_path):
    folder = album(2)
    done = [
        command("run", folder, "-m", flat, "-o", "out", "--shard", f"{i}/9") for i in range(1, 10)
    ]
    assert {one.returncode for one in done} == {0}
    assert sum("has no pictures: nothing to do" in one.stderr for one in done) >= 7
    assert len(results(tmp_path / "out")) == 2
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    assert command("run", nothing, "-m", flat, "-o", "none", "--shard", "1/2").returncode == 2


def test_jobs_with_a_source_in_common_wait_or_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr("batchcolor.storage.output_lock.LOCK_SECONDS", 0.1)
    out = tmp_path / "out"
    with Journal(out, shard=Shard(1, 2)), Journal(out, shard=Shard(2, 2)):
        for shard, words in [
            (Shard(1, 2), "shard 1/2 is running on"),
            (None, "shard 1/2 of another job is writing to"),
            (Shard(3, 4), "has sources in common with shard 3/4"),
        ]:
            with pytest.raises(UsageError, match=words), Journal(out, shard=shard) as journal:
                journal.open()
    with Journal(out), pytest.raises(UsageError, match="a job without --shard is writing"):
        Journal(out, shard=Shard(1, 2)).open()
    with Journal(out, shard=Shard(1, 4)), Journal(out, shard=Shard(2, 8)):
        pass  # no source is in both


def test_a_shard_leaves_what_belongs_to_others_that_may_run_elsewhere(tmp_path):
    def make(tag: str) -> Path:
        path = tmp_path / f".x.{tag}999999999-5{SUFFIX}"
        path.write_bytes(b"half")
        return path

    own, other, finer, whole = map(make, ("1-of-4.", "2-of-4.", "5-of-8.", ""))
    claim_folder(tmp_path, Shard(1, 4))
    with temporary_path(tmp_path / "a.png") as made:
        assert ".1-of-4." in made.name
        assert remove_stale_temporaries(tmp_path, Shard(1, 4)) == 3
        assert set(tmp_path.iterdir()) == {made, other}
    release_folder(tmp_path, Shard(1, 4))
    assert remove_stale_temporaries(tmp_path) == 1
    assert not any(path.exists() for path in (own, finer, whole))


def test_a_record_of_a_crash_is_kept_for_the_shard_that_has_the_source(tmp_path):
    record = InFlightRecord(tmp_path, Shard(2, 4))
    record.open({})
    with record.hold(tmp_path / "a.png", "decode"):
        content = record._path.read_bytes()
    record.close()
    left = tmp_path / "in-flight-2-of-4-elsewhere-1-1"
    left.write_bytes(content)
    for shard, count in [(Shard(1, 4), 0), (Shard(6, 8), 1), (Shard(2, 4), 1), (None, 1)]:
        assert len(take_interrupted(tmp_path, shard, is_exclusive=True)) == count
    assert take_interrupted(tmp_path, Shard(2, 4), is_exclusive=False) == []
    forget_interrupted(tmp_path, Shard(6, 8), is_exclusive=True)
    assert left.exists()  # it may name sources of 2/8
    forget_interrupted(tmp_path, Shard(2, 4), is_exclusive=True)
    assert not left.exists()


def test_a_film_is_an_item_of_one_shard(command: Command, flat, make_clip, tmp_path):
    for name in ("a", "b", "c"):
        make_clip(tmp_path / "in" / f"{name}.mp4", frames=3)
    for index in (1, 2):
        assert (
            command("run", "in", "-m", flat, "-o", "out", "--shard", f"{index}/2").returncode == 0
        )
    assert len(results(tmp_path / "out")) == 3
    assert not (tmp_path / "out" / ".batchcolor" / "films").exists()


GATED = """
    import os, time
    from pathlib import Path

    import batchcolor

    calls = 0

    class Gated:
        def __call__(self, luma):
            import torch
            global calls
            calls += 1
            if calls == 3 and (gate := os.environ.get("GATE")):
                Path(gate).touch()
                time.sleep(600)
            return torch.full((len(luma), 2, 4, 4), 0.1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("gated", "waits", 16, lambda options: Gated())]
"""


def test_a_shard_that_is_killed_and_run_again_does_every_picture_once(
    command: Command, plugin, environment, album, tmp_path, started
):
    plugin("gatedpack", GATED)
    folder, out, gate = album(20), tmp_path / "out", tmp_path / "gate"
    words = ["run", str(folder), "-m", "gated", "-o", "out", "--batch-size", "1", "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "batchcolor", *words, "--shard", "1/2"],
        env={**environment, "GATE": str(gate)},
        cwd=tmp_path,
        text=True,
    )
    started.append(process)
    end = time.monotonic() + 300
    while not gate.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    locked = command(*words, "--shard", "1/2")
    assert locked.returncode == 2
    assert "shard 1/2 is running on out already" in locked.stderr
    process.send_signal(signal.SIGKILL)
    process.wait(300)
    assert command(*words, "--shard", "2/2").returncode == 0
    assert command(*words, "--shard", "1/2").returncode == 0
    sources = [
        json.loads(line)["source"]
        for path in (out / ".batchcolor").glob("journal-*")
        for line in path.read_text().splitlines()
    ]
    assert len(sources) == len(set(sources)) == 20
    command("run", folder, "-m", "gated", "-o", "whole")
    assert results(out) == results(tmp_path / "whole")
    assert not list(out.rglob(f"*{SUFFIX}"))


def test_a_damaged_journal_of_a_shard_is_reported_and_costs_its_lines(
    command: Command, flat, album, tmp_path
):
    folder = album(20)
    words = ("run", folder, "-m", flat, "-o", "out")
    assert command(*words, "--shard", "1/2").returncode == 0
    journal = tmp_path / "out" / ".batchcolor" / "journal-1-of-2.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) > 1
    journal.write_bytes(b"".join([b"\xff\0damage\n", *lines[1:]]))
    made = results(tmp_path / "out")
    again = command(*words, "--shard", "2/2")
    assert "1 line is damaged and ignored" in again.stderr
    report = json.loads(command(*words, "--shard", "1/2", "--json").stdout)
    assert (report["done"], report["failed"], report["existed"]) == (0, 0, 1)
    assert made.items() <= results(tmp_path / "out").items()
