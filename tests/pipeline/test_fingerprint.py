"""The fingerprint of settings: what counts, and which spellings are the same."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from batchcolor.hooks.types import ColorizerSpec
from batchcolor.images.formats import GIF, JPEG, MP4, PNG, WEBP
from batchcolor.models.builtin import DELTA
from batchcolor.pipeline.options.fingerprint import canonical_options, fingerprint
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.video.output import codecs


@dataclasses.dataclass(frozen=True)
class Options:
    path: Path = Path("none")
    depth: float = 1.0
    tone: str = "warm"


SPEC = ColorizerSpec("own", "for a test", 16, lambda options: options, options=Options)


def print_of(target=JPEG, *, spec=DELTA, is_film=False, options=None, **values):
    settings = RunSettings(sources=("a",), **values)
    return fingerprint(settings, canonical_options(spec, options or {}), target, is_film=is_film)


@pytest.mark.parametrize(
    ("target", "values"),
    [
        (JPEG, {"format": "jpg"}),
        (JPEG, {"format": "JPEG"}),
        (JPEG, {"quality": 96}),
        (WEBP, {"quality": 95}),
        (PNG, {"quality": 50, "luma": "exact"}),  # lossless
        (JPEG, {"luma": "auto"}),
        (JPEG, {"strength": 1}),
        (JPEG, {"options": {"vividness": "0.5"}}),
        (JPEG, {"workers": 3, "device": "cpu", "max_memory": "1G"}),
        (JPEG, {"backend": "torch", "precision": "float32"}),
        (JPEG, {"codec": "h265", "stabilize": "best"}),  # for films
    ],
)
def test_spellings_and_explicit_defaults_do_not_count(target, values):
    assert print_of(target, **values) == print_of(target)


@pytest.mark.parametrize(
    "values",
    [
        {"strength": 0.5},
        {"quality": 90},
        {"luma": "exact"},
        {"model": "beta"},
        {"options": {"vividness": "0.6"}},
    ],
)
def test_what_changes_pixels_counts(values):
    assert print_of(**values) != print_of()


@pytest.mark.parametrize(
    "values", [{"crf": 18}, {"preset": "medium"}, {"codec": "h264"}, {"stabilize": "fast"}]
)
def test_explicit_defaults_of_films_do_not_count(values):
    assert print_of(MP4, is_film=True, **values) == print_of(MP4, is_film=True)


@pytest.mark.parametrize(
    "values",
    [
        {"crf": 20},
        {"codec": "h265"},
        {"stabilize": "best"},
        {"every": 2},
        {"preview": 2.0},
        {"preview": (1.0, 2.0)},
        {"strict": True},
        {"bit_depth": 10},
    ],
)
def test_film_options_count_for_films(values):
    assert print_of(MP4, is_film=True, **values) != print_of(MP4, is_film=True)


def test_codec_options_do_not_count_for_a_gif_that_stays_one():
    assert print_of(GIF, is_film=True, crf=30) == print_of(GIF, is_film=True)


def test_numbers_of_a_model_are_compared_as_numbers():
    texts = ({"vividness": "1"}, {"vividness": "1.0"}, {"vividness": 1.0})
    assert len({print_of(options=options) for options in texts}) == 1


def test_a_file_counts_by_content_only_where_the_option_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = [print_of(spec=SPEC, options=o) for o in ({"depth": "2"}, {"tone": "cold"})]
    for name in ("2", "cold", "1"):
        (tmp_path / name).write_bytes(b"a file that no option names")
    after = [print_of(spec=SPEC, options=o) for o in ({"depth": "2"}, {"tone": "cold"})]
    assert after == before

    network, prints = tmp_path / "net.onnx", []
    for content in (b"one", b"two"):
        network.write_bytes(content)
        prints.append(print_of(spec=SPEC, options={"path": str(network)}))
    assert prints[0] != prints[1]


def test_the_reference_picture_counts_by_its_content(tmp_path):
    reference, prints = tmp_path / "album.jpg", [print_of()]
    for content in (b"one", b"two"):
        reference.write_bytes(content)
        prints.append(print_of(like=reference))
    assert len(set(prints)) == 3


def test_a_settings_field_that_is_added_with_a_default_does_not_count(monkeypatch):
    before = print_of(MP4, is_film=True)

    @dataclasses.dataclass(frozen=True)
    class Longer(codecs.VideoSettings):
        mark: bool = False

    monkeypatch.setattr(codecs, "VideoSettings", Longer)
    monkeypatch.setattr(RunSettings, "mark", False, raising=False)
    assert print_of(MP4, is_film=True) == before


def test_a_job_skips_what_another_spelling_made(command, flat, album):
    source = album(2)
    assert command("run", source, "-m", flat, "-o", "out", "--format", "jpg").returncode == 0
    again = command(
        *("run", source, "-m", flat, "-o", "out", "--format", "jpeg", "--quality", "96"),
        *("--if-exists", "overwrite", "--json"),
    )
    assert '"skipped": 2' in again.stdout, again.stderr
