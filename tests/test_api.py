"""batchcolor from Python: the command's own engine."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import batchcolor
from batchcolor import api
from batchcolor.errors import (
    ExitCode,
    ProcessingError,
    UnknownModelError,
    UsageError,
)
from batchcolor.images.formats import JPEG


def test_a_loaded_colorizer_is_callable_on_luma():
    model = batchcolor.load_colorizer("alpha", device="cpu")
    size = model.working_size
    chroma = model(np.random.default_rng(0).random((3, 1, size, size), np.float32))
    assert chroma.shape[:2] == (3, 2)
    assert np.abs(chroma).max() <= 0.5
    with pytest.raises(UsageError, match="shape"):
        model(np.zeros((1, 1, 3, 3), np.float32))


def test_run_colours_a_folder_reports_progress_and_returns_the_report(tmp_path, grey_picture, flat):
    (tmp_path / "in").mkdir()
    for number in range(5):
        grey_picture(40, 30, seed=number).save(tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"nothing")
    done: list[int] = []
    report = batchcolor.run(
        tmp_path / "in",
        output=tmp_path / "out",
        model=flat,
        strength=0.5,
        format="webp",
        progress=lambda report: done.append(report.done),
    )
    assert (report.done, report.failed, report.exit_code) == (5, 1, ExitCode.SOME_FAILED)
    assert report.failures[0].source == tmp_path / "in" / "broken.png"
    assert done == sorted(done)
    assert done[-1] == 5
    assert len(list((tmp_path / "out").glob("*.webp"))) == 5
    again = batchcolor.run(
        [tmp_path / "in"], output=tmp_path / "out", model=flat, strength=0.5, format="webp"
    )
    assert (again.done, again.skipped, again.failed) == (0, 5, 1)


def test_run_makes_a_film_of_a_folder_of_frames(tmp_path, grey_picture, flat):
    (tmp_path / "frames").mkdir()
    for number in range(4):
        grey_picture(32, 32).save(tmp_path / "frames" / f"{number:04}.png")
    report = batchcolor.run(
        tmp_path / "frames",
        output=tmp_path / "out",
        model=flat,
        fps=Fraction(25),
        codec="ffv1",
        stabilize="off",
    )
    assert (report.done, report.frames) == (1, 4)
    assert [path.suffix for path in (tmp_path / "out").iterdir() if path.is_file()] == [".mkv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strength": "x"}, "strength='x': must be a valid number"),
        ({"strength": 3}, "from 0 to 2"),
        ({"model": 3}, "model=3: must be a valid string"),
        ({"output": 3}, "output=3"),
        ({"every": 1.5}, "every=1.5"),
        ({"workers": True}, "workers=True"),
        ({"preview": "10s"}, "preview='10s'"),
        ({"if_exists": "ask"}, "'skip', 'overwrite' or 'error'"),
        ({"options": {"vividness": [1]}}, r"option vividness=\[1\]"),
        ({"batch_size": 0}, "batch.size"),
        ({"progress": 3}, "progress"),
        ({"vividness": 1}, "vividness: there is no such argument"),
    ],
)
def test_run_refuses_an_argument_of_a_wrong_type_and_names_it(arguments, message):
    with pytest.raises(UsageError, match=message):
        batchcolor.run("samples", **arguments)


@pytest.mark.parametrize("sources", [3, [3], [], ""])
def test_run_refuses_sources_that_are_no_paths(sources):
    with pytest.raises(UsageError):
        batchcolor.run(sources)


def test_colorize_many_yields_results_in_order_and_failures_in_their_place(tmp_path, grey_picture):
    images = [grey_picture(30 + n, 20) for n in range(5)]
    path = tmp_path / "in.png"
    images[0].save(path)
    inputs = [path, *images[1:4], tmp_path / "absent.png", np.asarray(images[4])]
    results = list(batchcolor.colorize_many(iter(inputs), "beta", batch_size=2, device="cpu"))
    model = batchcolor.load_colorizer("beta", batch_size=2, device="cpu")
    for index, result in enumerate(results):
        if index == 4:
            assert isinstance(result, ProcessingError)
            assert "no such file" in result.reason
        else:
            assert np.array_equal(np.asarray(result), np.asarray(model.colorize(inputs[index])))
    assert isinstance(results[5], np.ndarray)


def test_colorize_many_takes_images_one_batch_at_a_time(grey_picture):
    taken = []

    def images():
        for number in range(100):
            taken.append(number)
            yield grey_picture(16, 16)

    options = {"batch_size": 4, "device": "cpu", "backend": "torch"}  # OpenVINO runs several
    next(batchcolor.colorize_many(images(), "beta", **options))
    assert len(taken) == 4


def test_options_of_a_model_are_values_of_their_type(grey_picture):
    image = grey_picture(60, 40)
    as_number = batchcolor.load_colorizer("delta", device="cpu", options={"vividness": 0.5})
    as_text = batchcolor.load_colorizer("delta", device="cpu", options={"vividness": "0.5"})
    results = [np.asarray(model.colorize(image)) for model in (as_number, as_text)]
    assert np.array_equal(*results)


def test_the_representation_of_a_loaded_colorizer_names_model_device_and_working_size():
    shown = repr(batchcolor.load_colorizer("beta", device="cpu", backend="torch"))
    assert shown == "<LoadedColorizer 'beta' on CPU (float32), working size 32>"


@pytest.mark.parametrize("strength", ["x", None, True, -1, 2.1, float("nan")])
def test_a_wrong_strength_is_refused_with_a_sentence(grey_picture, strength):
    with pytest.raises(UsageError, match="a number from 0 to 2"):
        batchcolor.colorize(grey_picture(8, 8), "beta", strength)


@pytest.mark.parametrize("model", [3, None, Path("beta")])
def test_a_model_that_is_no_name_is_refused_with_a_sentence(grey_picture, model):
    with pytest.raises(UsageError, match="name of a model"):
        batchcolor.colorize(grey_picture(8, 8), model)


def test_a_folder_is_refused_by_colorize(tmp_path, grey_picture):
    grey_picture(8, 8).save(tmp_path / "one.png")
    with pytest.raises(UsageError, match="is a folder"):
        batchcolor.colorize(tmp_path, "beta")


def test_public_names_are_listed():
    names = {"colorize", "colorize_many", "load_colorizer", "run", "LoadedColorizer"}
    assert names <= set(dir(batchcolor))


def test_what_cannot_be_coloured_is_an_error_with_a_sentence(tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    with pytest.raises(ProcessingError, match="not a picture"):
        batchcolor.colorize(tmp_path / "bad.jpg")
    with pytest.raises(ProcessingError):
        batchcolor.colorize(tmp_path / "absent.jpg")
    with pytest.raises(UsageError, match="array of float64"):
        batchcolor.colorize(np.zeros((4, 4)))
    with pytest.raises(UsageError, match="cannot colour a int"):
        batchcolor.colorize(3)
    with pytest.raises(UnknownModelError):
        batchcolor.load_colorizer("absent")


def test_importing_batchcolor_and_its_contract_imports_no_torch():
    code = (
        "import sys, batchcolor; batchcolor.ColorizerSpec, batchcolor.hookimpl, batchcolor.Recipe;"
        "from batchcolor.cli.app import build_app; build_app();"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_film_is_no_picture(make_clip, tmp_path, suffix):
    clip = tmp_path / f"film{suffix}"
    if suffix == ".gif":
        Image.new("L", (8, 8)).save(clip, save_all=True, append_images=[Image.new("L", (8, 8), 9)])
    else:
        make_clip(clip)
    with pytest.raises(ProcessingError, match="is a film"):
        batchcolor.colorize(clip)


CRASH_AT_A_NAME = """
import os
import batchcolor.images.decode as module

plain = module.decode

def decode(found, *arguments):
    if found.path.name == "crash.jpg":
        os.abort()
    return plain(found, *arguments)

module.decode = decode
"""
"""`sitecustomize.py` for the child process."""


def test_a_decoder_that_crashes_raises_instead_of_ending_the_process(tmp_path, monkeypatch):
    monkeypatch.setattr("batchcolor.api.CRASH_PRONE_FORMATS", (JPEG,))
    monkeypatch.setattr("batchcolor.api._child", api._Child())
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CRASH_AT_A_NAME)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    for name in ("crash.jpg", "good.jpg"):
        Image.new("L", (32, 24), 90).save(tmp_path / name)
    paths = [tmp_path / name for name in ("crash.jpg", "good.jpg", "crash.jpg")]
    crashed, good, again = batchcolor.colorize_many(paths, model="beta")
    assert isinstance(good, Image.Image)
    for error in (crashed, again):
        assert isinstance(error, ProcessingError)
        assert error.reason == "its decoder crashed (SIGABRT)"
    with pytest.raises(ProcessingError, match="its decoder crashed"):
        batchcolor.colorize(paths[0], model="beta")
