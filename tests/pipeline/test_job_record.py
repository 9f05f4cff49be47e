"""The record of jobs of an output folder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.records.job_record import MAX_JOBS, RECORD_NAME, read_jobs, record_job


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"model": "beta", "strength": 1.3, "format": "png", "quality": 80, "sidecar": True},
        {"options": (("vividness", "0.9"), ("tta", "true")), "like": Path("/tmp/like.jpg")},
        {"frames": True, "fps": Fraction(30000, 1001), "preview": 10.0},
        {"preview": (750.5, 10.0)},
        {"c2pa": (Path("/tmp/a.pem"), Path("/tmp/b.pem"))},
    ],
)
def test_a_job_is_read_as_it_was_recorded(tmp_path, values):
    settings = RunSettings(sources=(str(tmp_path / "album"),), output=tmp_path / "out", **values)
    record_job(tmp_path / "out", settings)
    assert read_jobs(tmp_path / "out") == [settings]


def test_names_of_any_bytes_are_kept(tmp_path):
    settings = RunSettings(sources=(str(tmp_path / "al\udcffbum\n"),), output=tmp_path / "out")
    record_job(tmp_path / "out", settings)
    assert read_jobs(tmp_path / "out")[0].sources == settings.sources


def test_paths_are_absolute_and_options_of_one_run_are_dropped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = RunSettings(
        sources=("album",),
        watch=True,
        device="cpu",
        if_exists="overwrite",
        like_for=(("1931", "red.png"),),
    )
    record_job(tmp_path / "out", settings)
    (job,) = read_jobs(tmp_path / "out")
    assert job.sources == (str(tmp_path / "album"),)
    assert job.like_for == (("1931", str(tmp_path / "red.png")),)
    assert (job.watch, job.device, job.if_exists) == (False, "auto", "skip")


def test_the_last_job_of_the_same_sources_counts_and_few_are_kept(tmp_path):
    for number in range(MAX_JOBS + 5):
        record_job(tmp_path, RunSettings(sources=(f"/album-{number}",)))
    record_job(tmp_path, RunSettings(sources=("/album-20",), strength=0.5))
    jobs = read_jobs(tmp_path)
    assert len(jobs) == MAX_JOBS
    assert (jobs[-1].sources, jobs[-1].strength) == (("/album-20",), 0.5)


def test_damaged_lines_and_unknown_options_are_skipped(tmp_path):
    record_job(tmp_path, RunSettings(sources=("/album",)))
    path = tmp_path / ".batchcolor" / RECORD_NAME
    path.write_bytes(path.read_bytes() + b'{"sources": ["/x"], "future": 1}\n[1]\n{tor')
    assert [job.sources for job in read_jobs(tmp_path)] == [("/album",)]
    assert read_jobs(tmp_path / "absent") == []


def test_a_job_records_itself(command, flat, album, tmp_path):
    source = album(1)
    assert command("run", source, "-m", flat, "-o", "out", "--strength", "0.5").returncode == 0
    (job,) = read_jobs(tmp_path / "out")
    assert (job.model, job.strength, job.sources) == (flat, 0.5, (str(source),))
