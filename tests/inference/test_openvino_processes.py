"""The OpenVINO backend in processes of their own."""

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("openvino", exc_type=ImportError)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test."""
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "exports"


def test_two_processes_that_export_at_the_same_time_get_identical_chroma(tmp_path, cache):
    code = """
import sys
import numpy as np
from batchcolor.hooks.manager import load_plugins
from batchcolor.inference.load_options import LoadOptions
from batchcolor.inference.runner import load_runner
runner = load_runner(load_plugins(False).find("beta"), LoadOptions(device="cpu"))
side = runner.working_size
chroma = runner.run(list(np.random.default_rng(0).random((3, side, side), np.float32)))
np.save(sys.argv[1], chroma)
print(runner.backend.name, runner.notes)
"""
    files = [tmp_path / "first.npy", tmp_path / "second.npy"]
    jobs = [
        subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True)
        for file in files
    ]
    assert [job.communicate(timeout=300)[0].strip() for job in jobs] == ["openvino []"] * 2
    assert np.array_equal(*(np.load(file) for file in files))
    assert len(list(cache.iterdir())) == 1


def test_a_job_whose_model_is_exported_does_not_import_torch(tmp_path, grey_picture, monkeypatch):
    grey_picture(64, 48).save(tmp_path / "one.jpg")
    code = """
import sys
from batchcolor.cli.app import main
code = main(["run", "one.jpg", "-m", "beta", "-o", sys.argv[1], "-q", "--device", "cpu"])
print(code, "torch" in sys.modules)
assert "openvino" in sys.modules
assert "openvino_telemetry" not in sys.modules
"""
    for name, expected in (("first", "0 True"), ("second", "0 False")):
        command = [sys.executable, "-c", code, name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
        assert done.stdout.strip() == expected, done.stderr
    results = [(tmp_path / name / "one.jpg").read_bytes() for name in ("first", "second")]
    assert results[0] == results[1]


SIGNAL_AFTER_TWO_MODELS = """
import gc, os, signal, threading
import batchcolor

received = []
signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
loaded = [batchcolor.load_colorizer("beta"), batchcolor.load_colorizer("alpha")]
assert all("OpenVINO" in repr(model) for model in loaded), loaded

def free():
    del loaded[0]
    gc.collect()
    loaded.clear()
    gc.collect()

if IN_THREAD:
    thread = threading.Thread(target=free)
    thread.start()
    thread.join()
else:
    free()
os.kill(os.getpid(), signal.SIGTERM)
assert received == [signal.SIGTERM]
"""


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_signal_reaches_its_handler_after_the_models_are_freed(in_thread):
    code = SIGNAL_AFTER_TWO_MODELS.replace("IN_THREAD", str(in_thread))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
