"""References for folders, pictures and shots of films."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from batchcolor.pipeline.decisions.decision import Decision
from batchcolor.pipeline.decisions.store import DecisionStore


def save_reference(path: Path, color: tuple[int, int, int], base: Image.Image | None = None) -> str:
    """A picture of one hue with the luma structure of `base`."""
    if base is None:
        noise = np.random.default_rng(1).integers(60, 200, (64, 64), dtype=np.uint8)
        base = Image.fromarray(noise)
    luma = np.asarray(base.convert("L"), float)[..., None]
    tint = np.array(color) - np.mean(color)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray((luma + tint).clip(0, 255).astype(np.uint8)).save(path)
    return str(path)


def mean_cb_cr(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("YCbCr"), float)[..., 1:].mean(axis=(0, 1)) / 255 - 0.5


@pytest.fixture
def folder(album, tmp_path: Path) -> Path:
    """Two grey pictures in the folder itself and two in `1931 summer`."""
    return album(4)


RED, BLUE = (210, 90, 80), (80, 90, 210)


def test_folder_and_picture_have_references_of_their_own(command, flat, folder, tmp_path):
    red, blue = (
        save_reference(tmp_path / f"{n}.png", c) for n, c in (("red", RED), ("blue", BLUE))
    )
    (folder / "batchcolor.toml").write_text(
        '[like-for]\n"1931 summer" = "../red.png"\n"1931 summer/002.jpg" = "../blue.png"\n'
    )
    out = tmp_path / "out"
    arguments = ("run", folder, "-o", out, "-m", flat, "--json")
    done = command(*arguments)
    assert json.loads(done.stdout)["done"] == 4, done.stderr
    with Image.open(out / "1931 summer/000.jpg") as image:
        assert mean_cb_cr(image)[1] > 0.03
    with Image.open(out / "1931 summer/002.jpg") as image:
        assert mean_cb_cr(image)[0] > mean_cb_cr(Image.open(out / "001.jpg"))[0]
    assert json.loads(command(*arguments).stdout)["skipped"] == 4
    (folder / "batchcolor.toml").unlink()
    given = ("--like-for", f"1931 summer={red}", "--like-for", f"1931 summer/002.jpg={blue}")
    assert json.loads(command(*arguments, *given).stdout)["existed"] == 0


@pytest.mark.parametrize("text", ["album", "=red.png", "album="])
def test_reference_of_a_folder_is_a_pair(command, flat, folder, tmp_path, text):
    done = command("run", folder, "-m", flat, "--like-for", text)
    assert done.returncode == 2
    assert "write it as PATH=PICTURE" in done.stderr


def test_missing_reference_of_a_picture_fails_alone(command, flat, folder, tmp_path):
    given = ("--like-for", "001.jpg=missing.png")
    done = command("run", folder, "-o", tmp_path / "out", "-m", flat, "--json", *given)
    report = json.loads(done.stdout)
    assert (done.returncode, report["done"], report["failed"]) == (3, 3, 1)
    assert "missing.png does not exist" in report["failures"][0]["reason"]


def test_nearest_of_several_references_is_chosen_and_reported(command, flat, folder, tmp_path):
    for name, color, like in (("red", RED, "001.jpg"), ("blue", BLUE, "003.jpg")):
        with Image.open(folder / like) as image:
            save_reference(tmp_path / "references" / f"{name}.png", color, image)
    out = tmp_path / "out"
    given = ("--references", tmp_path / "references")
    done = command("run", folder, "-o", out, "-m", flat, "--json", *given)
    report = json.loads(done.stdout)
    assert report["done"] == 4, done.stderr
    notes = {Path(it["source"]).name: it["note"] for it in report["picture_notes"]}
    assert "colours of red.png" in notes["001.jpg"]
    assert "colours of blue.png" in notes["003.jpg"]
    red, blue = (mean_cb_cr(Image.open(out / name)) for name in ("001.jpg", "003.jpg"))
    assert red[1] > blue[1] + 0.05
    done = command("run", folder, "-m", flat, *given, "--like", tmp_path / "references/red.png")
    assert done.returncode == 2


@pytest.fixture
def two_shots(tmp_path: Path) -> Path:
    """A grey film of two shots of 12 frames."""
    path = tmp_path / "film.mkv"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(24):
            seed = number // 12
            areas = np.random.default_rng(seed).integers(40, 220, (6, 8), dtype=np.uint8)
            grey = Image.fromarray(areas).resize((96, 64), Image.Resampling.BICUBIC)
            frame = av.VideoFrame.from_ndarray(np.asarray(grey), format="gray")
            film.mux(stream.encode(frame.reformat(format="yuv420p")))
        film.mux(stream.encode())
    return path


def read_chroma(path: Path) -> np.ndarray:
    with av.open(str(path)) as film:
        frames = [f.to_ndarray(format="yuv444p") for f in film.decode(video=0)]
    return np.stack([f[1:].astype(float).mean(axis=(1, 2)) - 128 for f in frames])


@pytest.mark.parametrize("stabilize", ["off", "fast"])
def test_shots_have_strength_and_state_of_their_own(command, flat, two_shots, tmp_path, stabilize):
    shots = [{"frame": 0, "strength": 0.5}, {"frame": 12, "state": "rejected"}]
    DecisionStore(tmp_path / "out").append(
        Decision.from_values({"source": "film.mkv", "shots": shots})
    )
    arguments = ("run", two_shots, "-m", flat, "--codec", "ffv1", "--stabilize", stabilize)
    assert command(*arguments, "-o", tmp_path / "plain").returncode == 0
    assert command(*arguments, "-o", tmp_path / "out").returncode == 0
    plain, decided = (read_chroma(tmp_path / name / "film.mkv") for name in ("plain", "out"))
    assert len(plain) == len(decided) == 24
    assert np.abs(plain[:, 0]).min() > 10
    assert decided[:12, 0] == pytest.approx(plain[:12, 0] / 2, abs=1.5)
    assert np.abs(decided[12:]).max() < 1.0


def test_references_of_a_film_are_those_of_its_shots(command, flat, two_shots, tmp_path):
    save_reference(tmp_path / "references" / "film-000000.png", RED)
    save_reference(tmp_path / "references" / "film-000012.png", BLUE)
    given = ("--references", tmp_path / "references", "--codec", "ffv1", "--json")
    done = command("run", two_shots, "-m", flat, "-o", tmp_path / "out", *given)
    assert done.returncode == 0, done.stderr
    chroma = read_chroma(tmp_path / "out" / "film.mkv")
    assert chroma[2:10, 1].min() > chroma[14:, 1].max() + 5
    notes = " ".join(it["note"] for it in json.loads(done.stdout)["picture_notes"])
    assert "shot from frame 12: colours of film-000012.png" in notes


@pytest.mark.parametrize("stabilize", ["off", "fast"])
def test_reference_decided_for_a_shot_goes_before_the_folder(
    command, flat, two_shots, tmp_path, stabilize
):
    save_reference(tmp_path / "references" / "film-000000.png", RED)
    blue = save_reference(tmp_path / "decided" / "blue.png", BLUE)
    shots = [{"frame": 12, "reference": blue}]
    DecisionStore(tmp_path / "out").append(
        Decision.from_values({"source": "film.mkv", "shots": shots})
    )
    given = ("--references", tmp_path / "references", "--codec", "ffv1", "--json")
    arguments = ("-m", flat, "-o", tmp_path / "out", "--stabilize", stabilize)
    done = command("run", two_shots, *arguments, *given)
    assert done.returncode == 0, done.stderr
    chroma = read_chroma(tmp_path / "out" / "film.mkv")
    assert chroma[2:10, 1].min() > chroma[14:, 1].max() + 5
    notes = " ".join(it["note"] for it in json.loads(done.stdout)["picture_notes"])
    assert "shot from frame 0: colours of film-000000.png (by its name)" in notes
    assert "shot from frame 12: colours of blue.png (as decided)" in notes


def test_rejected_film_is_copied(command, flat, two_shots, tmp_path):
    values = {"source": "film.mkv", "state": "rejected"}
    DecisionStore(tmp_path / "out").append(Decision.from_values(values))
    done = command("run", two_shots, "-m", flat, "-o", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["kept_grey"] == 1
    assert (tmp_path / "out" / "film.mkv").read_bytes() == two_shots.read_bytes()


def test_colour_hints_of_a_film_are_refused(command, flat, two_shots, tmp_path):
    hints = [{"points": [[1, 1]], "color": "#ff0000"}]
    DecisionStore(tmp_path / "out").append(
        Decision.from_values({"source": "film.mkv", "hints": hints})
    )
    done = command("run", two_shots, "-m", flat, "-o", tmp_path / "out", "--json")
    assert done.returncode == 3
    assert "colour hints are for pictures" in json.loads(done.stdout)["failures"][0]["reason"]
