"""`--frames`: folders of numbered frames in a bucket."""

import io

import av
import numpy as np
import pytest
from PIL import Image

import batchcolor
from batchcolor.errors import UsageError

from .fault_proxy import Fault
from .test_remote_output import objects


@pytest.fixture
def frames(bucket, tmp_path):
    """A folder of twelve frames and what is none, and the same in the bucket."""
    folder = tmp_path / "reel"
    folder.mkdir()
    gradient = Image.linear_gradient("L").resize((64, 48))
    for number in range(8, 20):  # 10 comes after 9, not after 1
        gradient.rotate(90 * number).resize((64, 48)).save(folder / f"frame {number}.png")
    (folder / "notes.txt").write_text("text")
    bucket.put(f"{folder}/", "album/reels/reel/", recursive=True)
    bucket.put_file(str(folder / "frame 8.png"), "album/reels/reel/below/1.png")
    return folder


def read_luma(content: bytes) -> np.ndarray:
    with av.open(io.BytesIO(content)) as film:
        frames = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
    return np.stack(frames).astype(np.int16)


def test_frames_become_the_film_of_the_same_files_in_a_folder(
    frames, proxy, bucket, flat, tmp_path
):
    local = batchcolor.run(frames, output=tmp_path / "local", model=flat, fps=24)
    assert (local.done, local.frames) == (1, 12)
    arguments = {"output": "s3://album/out", "model": flat, "fps": 24}
    report = batchcolor.run("s3://album/reels/reel", **arguments)
    assert (report.done, report.frames) == (1, 12), report.as_json()
    (name, content), *others = objects(bucket, "album/out").items()
    assert (name, others) == ("reel.mp4", [])
    expected = read_luma((tmp_path / "local" / "reel.mp4").read_bytes())
    assert np.abs(read_luma(content) - expected).max() < 4  # encoders may differ in the last bits
    assert not list(tmp_path.glob("batchcolor-remote-*"))
    proxy.requests.clear()
    again = batchcolor.run("s3://album/reels/reel", **arguments)
    assert (again.done, again.skipped) == (0, 1)
    assert proxy.count("GET", "reel/frame") == 0
    bucket.pipe_file("album/reels/reel/frame 20.png", (frames / "frame 9.png").read_bytes())
    changed = batchcolor.run("s3://album/reels/reel", if_exists="overwrite", **arguments)
    assert (changed.done, changed.frames) == (1, 13)


def test_frames_that_cannot_be_fetched_fail_with_a_reason(frames, proxy, flat, tmp_path):
    arguments = {"output": tmp_path / "out", "model": flat, "fps": 24, "retries": 0}
    small = batchcolor.run("s3://album/reels/reel", temporary_space=1000, **arguments)
    (failure,) = small.as_json()["failures"]
    assert failure["source"] == "s3://album/reels/reel"
    assert "MiB of temporary space" in failure["reason"]
    proxy.faults.append(Fault(503, "GET", "reel/frame 11.png"))
    report = batchcolor.run("s3://album/reels/reel", **arguments)
    (failure,) = report.as_json()["failures"]
    assert failure["reason"].startswith("frame 11.png: the server answers SlowDown")
    proxy.faults.clear()
    assert batchcolor.run("s3://album/reels/reel", **arguments).done == 1


def test_folders_without_frames_and_other_sources_are_refused(frames, bucket, flat, tmp_path):
    arguments = {"output": tmp_path / "out", "model": flat, "fps": 24}
    for source, reason in [
        ("s3://album/reels", "holds no numbered pictures"),
        ("s3://album/reels/reel/frame 8.png", "name the folder"),
        ("s3://album", "copy the frames to a folder first"),
    ]:
        with pytest.raises(UsageError, match=reason):
            batchcolor.run(source, **arguments)
