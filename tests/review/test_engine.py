"""Previews use the references and weights of the job, as the job itself does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import ProcessingError
from batchcolor.hooks.manager import load_plugins
from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.review.engine import make_model_key
from batchcolor.review.film_clips import make_clip_settings
from batchcolor.review.session import ReviewSession

HINTED = """
    import batchcolor

    def hinted(luma, hints):
        # The mean chroma of the hints in the left half of the picture, grey in the right one.
        import torch
        chroma = torch.zeros((len(luma), 2, 2, 2))
        weight = hints[:, :1].sum(dim=(2, 3)).clamp(min=1)
        chroma[:, :, :, 0] = (hints[:, 1:].sum(dim=(2, 3)) / weight)[..., None]
        return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("hinted", "hints", 16, lambda o: hinted, hints=True)]
"""
TINTS = {"red": (60, -30, -30), "blue": (-30, -30, 60)}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A picture in `album`, and a reference of one hue in each of `red` and `blue`."""
    shapes = np.random.default_rng(3).integers(60, 190, (6, 6), dtype=np.uint8)
    grey = Image.fromarray(shapes).resize((96, 64), Image.Resampling.BICUBIC)
    (tmp_path / "album").mkdir()
    grey.save(tmp_path / "album" / "a.png")
    for name, tint in TINTS.items():
        (tmp_path / name).mkdir()
        tinted = np.asarray(grey, int)[..., None] + np.array(tint)
        Image.fromarray(tinted.clip(0, 255).astype(np.uint8)).save(tmp_path / name / "r.png")
    return tmp_path


@pytest.mark.parametrize(
    ("options", "decided"),
    [
        ({"like": "red/r.png"}, {}),
        ({"references": "red"}, {}),
        ({"like_for": {"a.png": "red/r.png"}, "like": "blue/r.png"}, {}),
        ({"like_for": {"a.png": "red"}}, {}),
        ({"like": "blue/r.png"}, {"reference": "../red/r.png"}),
        ({"like": "blue/r.png"}, {"reference": "../red"}),
    ],
)
def test_a_preview_has_the_reference_of_the_job(folders, monkeypatch, options, decided):
    monkeypatch.chdir(folders)
    output = folders / "out"
    batchcolor.run("album", output=output, model="beta", **options)
    session = ReviewSession(output, load_plugins(False))
    (item,) = session.items.all()
    decision = Decision(source=item.key, **decided)
    preview = session.engine.render(item, session.find_job(item), decision, 96)
    red, _, blue = np.asarray(preview, float).mean(axis=(0, 1))
    assert red > blue + 10
    if not decided:
        written = np.asarray(Image.open(output / "a.png").convert("RGB"), float)
        assert np.abs(np.asarray(preview, float) - written).mean() < 3
        clip = make_clip_settings(
            item, item.source, session.find_job(item), decision, output / "clip"
        )
        assert (clip.like or clip.references).parts[-1] in ("r.png", "red")
        assert "red" in (clip.like or clip.references).parts


def test_jobs_with_weights_of_their_own_do_not_share_a_model():
    jobs = [
        RunSettings(sources=("a",), model="beta", weights=weights)
        for weights in (None, Path("a.pt"), Path("b.pt"))
    ]
    assert len({make_model_key("beta", {}, job) for job in jobs}) == 3
    assert len({make_model_key("delta", {}, job) for job in jobs}) == 1


def test_a_sidecar_counts_in_previews_and_changes(folders):
    """As in the job: for what the decision leaves open."""
    output = folders / "out"
    batchcolor.run(folders / "album", output=output, model="beta", like=folders / "red" / "r.png")
    session = ReviewSession(output, load_plugins(False))
    (item,) = session.items.all()
    assert not session.pending.list()

    (folders / "album" / "a.batchcolor.json").write_text('{"strength": 0}')
    session.pending.clear()
    assert session.pending.list() == [item]
    job = session.find_job(item)
    for decision, is_grey in ((Decision(source=item.key), True), (Decision(strength=1.0), False)):
        preview = np.asarray(session.engine.render(item, job, decision, 96), int)
        assert (np.ptp(preview, axis=-1).max() <= 2) == is_grey

    (folders / "album" / "a.batchcolor.json").write_text("damaged")
    with pytest.raises(ProcessingError, match=r"a\.batchcolor\.json"):
        session.engine.render(item, job, Decision(), 96)


def test_a_model_that_takes_hints_gets_them_in_previews_as_in_the_job(plugin, tmp_path):
    plugin("hintedpack", HINTED)
    (tmp_path / "album").mkdir()
    Image.fromarray(np.full((64, 96), 128, np.uint8)).save(tmp_path / "album" / "a.png")
    hint = {"points": [[20, 30]], "color": "#a06060", "width": 8}
    decision = Decision.from_values({"source": "a.png", "hints": [hint]})
    DecisionStore(tmp_path / "out").append(decision)
    batchcolor.run(tmp_path / "album", output=tmp_path / "out", model="hinted")
    session = ReviewSession(tmp_path / "out", load_plugins())
    (item,) = session.items.all()
    job = session.find_job(item)
    preview = np.asarray(session.engine.render(item, job, decision, 96), int)
    written = np.asarray(Image.open(tmp_path / "out" / "a.png").convert("RGB"), int)
    assert np.abs(preview - written).max() <= 2
    assert np.ptp(preview[:, :20], axis=-1).min() > 30
    assert np.ptp(preview[:, 80:], axis=-1).max() <= 2
    without = np.asarray(session.engine.render(item, job, Decision(source="a.png"), 96), int)
    assert np.ptp(without, axis=-1).max() <= 2
