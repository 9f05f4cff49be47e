"""Folders of numbered frames to films, and films to such folders."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from batchcolor.video.output.codecs import parse_frame_rate


def frame_luma(index, width=64, height=48):
    """Returns luma in which the position of a bright bar encodes the frame number."""
    luma = np.linspace(30, 180, width * height).reshape(height, width).astype(np.uint8)
    luma[:, 5 * index % (width - 8) :][:, :8] = 220
    return luma


def write_frames(folder, numbers=range(1, 13), name="{:04d}.png", **size):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(frame_luma(number, **size)).save(folder / name.format(number))
    return folder


@pytest.fixture
def run(flat, command):
    """Runs the command; returns its exit code and report."""

    def job(*message):
        result = command("run", *message, "-m", flat, "--json")
        return result.returncode, json.loads(result.stdout) if result.stdout else result.stderr

    return job


def test_frames_become_a_film_in_numerical_order(run, tmp_path, read_film):
    write_frames(tmp_path / "reel", range(8, 13), "frame {}.png")  # 10 comes after 9, not after 1
    code, document = run(tmp_path / "reel", "--frames", "--crf", "1")
    assert code == 0, document
    film = read_film(tmp_path / "reel-colorized" / "reel.mp4")
    assert film.rate == 24
    assert film.times == [Fraction(n, 24) for n in range(5)]
    for number, luma in zip(range(8, 13), film.luma, strict=True):
        assert np.abs(luma - frame_luma(number)).mean() < 1
    assert film.colour[0] == 2  # full range, so the luma of the pictures is unchanged
    assert film.chroma[2][0].mean() > 128 + 10


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        ("23.976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("16", Fraction(16)),
    ],
)
def test_frame_rates_are_parsed(text, rate):
    assert parse_frame_rate(text) == rate


def test_film_has_the_given_frame_rate(run, tmp_path, read_film):
    code, document = run(
        write_frames(tmp_path / "reel"), "--frames", "--fps", "23.976", "-o", "out"
    )
    assert code == 0, document
    film = read_film(tmp_path / "out" / "reel.mp4")
    assert film.rate == Fraction(24000, 1001)
    assert film.times == [n * Fraction(1001, 24000) for n in range(12)]


def test_gap_is_reported_and_filled_with_the_previous_frame(run, tmp_path, read_film):
    source = write_frames(tmp_path / "reel", [1, 2, 3, 6, 7])
    (source / "cover.png").write_bytes((source / "0001.png").read_bytes())
    code, document = run(source, "--frames", "-o", "out")
    assert code == 0, document
    assert any("frame 4, 5 missing" in note for note in document["notes"])
    assert any("no number in cover.png: skipped" in note for note in document["notes"])
    film = read_film(tmp_path / "out" / "reel.mp4")
    assert film.times == [Fraction(n, 24) for n in (0, 1, 2, 5, 6)]
    code, document = run(source, "--frames", "-o", "strict", "--strict")
    assert code == 3
    assert "frame 4 is missing" in document["failures"][0]["reason"]


def test_frames_numbered_in_steps_of_ten_have_no_gaps(run, tmp_path, read_film):
    code, document = run(
        write_frames(tmp_path / "reel", range(10, 60, 10)), "--frames", "-o", "out"
    )
    assert code == 0, document
    assert not any("missing" in note for note in document["notes"])
    assert len(read_film(tmp_path / "out" / "reel.mp4").times) == 5


@pytest.mark.parametrize("number", [5, 12], ids=["in the middle", "last"])
def test_unreadable_frame_is_reported_and_replaced_by_the_previous_one(
    run, tmp_path, number, read_film
):
    source = write_frames(tmp_path / "reel")
    (source / f"{number:04d}.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    code, document = run(source, "--frames", "-o", "out")
    assert code == 0, document
    assert any(
        f"{number:04d}.png" in note and "last intact frame" in note for note in document["notes"]
    )
    film = read_film(tmp_path / "out" / "reel.mp4")
    assert film.times == [Fraction(n, 24) for n in range(12) if n != number - 1]
    assert film.seconds == pytest.approx(0.5, abs=0.01)
    code, document = run(source, "--frames", "-o", "strict", "--strict")
    assert code == 3
    assert f"{number:04d}.png" in document["failures"][0]["reason"]
    assert not (tmp_path / "strict" / "reel.mp4").exists()


def test_frame_with_several_pages_is_reported_and_replaced(run, tmp_path):
    folder = write_frames(tmp_path / "reel", range(1, 6), "{:04d}.tif")
    pages = [Image.fromarray(frame_luma(number)) for number in (3, 4)]
    pages[0].save(folder / "0003.tif", save_all=True, append_images=pages[1:])
    code, document = run(folder, "--frames")
    assert code == 0, document
    assert "2 pages" in json.dumps(document)


def test_two_frames_with_one_number_are_refused(run, tmp_path):
    source = write_frames(tmp_path / "reel")
    Image.fromarray(frame_luma(1)).save(source / "0003.jpg")
    code, document = run(source, "--frames", "-o", "out")
    assert code == 3
    assert "0003.jpg and 0003.png are both frame 3" in document["failures"][0]["reason"]


def test_each_folder_becomes_a_film(run, tmp_path):
    for name in ("a", "b"):
        write_frames(tmp_path / "reels" / name)
    code, document = run("reels/*", "--frames", "-o", "out", "--format", "mkv")
    assert code == 0, document
    assert document["done"] == 2
    assert {p.name for p in (tmp_path / "out").glob("*.mkv")} == {"a.mkv", "b.mkv"}


def test_folder_of_folders_is_refused_with_the_pattern_to_use(command, flat, tmp_path):
    write_frames(tmp_path / "reels" / "a")
    document = command("run", "reels", "--frames", "-m", flat)
    assert document.returncode == 2
    assert "reels: holds no numbered pictures" in " ".join(document.stderr.split())
    assert "FOLDER/*" in document.stderr


def test_16_bit_frames_become_a_10_bit_film(run, tmp_path, read_film):
    source = tmp_path / "reel"
    source.mkdir()
    deep = (np.linspace(3000, 60000, 64 * 48).reshape(48, 64)).astype(np.uint16)
    for number in range(5):
        Image.fromarray(deep).save(source / f"{number}.png")
    code, document = run(source, "--frames", "-o", "out", "--crf", "1")
    assert code == 0, document
    film = read_film(tmp_path / "out" / "reel.mp4")
    assert film.format == "yuv420p10le"
    assert np.abs(film.luma[2] - deep / 65535 * 1023).mean() < 3


def read_pictures(folder):
    return {
        path.name: np.asarray(Image.open(path).convert("RGB")).astype(float)
        for path in sorted(folder.iterdir())
    }


def test_film_becomes_a_folder_of_numbered_colour_pictures(run, make_clip, tmp_path, read_film):
    clip = make_clip(tmp_path / "film.mp4", audio=("aac",))
    code, document = run(clip, "--to-frames", "-o", "out")
    assert code == 0, document
    assert any("other streams (audio) are dropped" in note for note in document["notes"])
    pictures = read_pictures(tmp_path / "out" / "film-frames")
    assert list(pictures) == [f"{n:06d}.png" for n in range(1, 13)]
    before = read_film(clip)
    for old, rgb in zip(before.luma, pictures.values(), strict=True):
        shown = (old.clip(16, 235) - 16) * 255 / 219
        assert np.abs(rgb @ [0.299, 0.587, 0.114] - shown).mean() < 1.5
        assert rgb[..., 2].mean() > rgb[..., 0].mean() + 10
    again = run(clip, "--to-frames", "-o", "out")[1]
    assert (again["done"], again["skipped"]) == (0, 1)


@pytest.mark.parametrize(
    ("kind", "pixels", "suffix", "mode"),
    [
        ("jpeg", "yuv420p", ".jpg", "RGB"),
        ("tiff", "yuv420p10le", ".tif", None),
        ("webp", "yuv444p", ".webp", "RGB"),
    ],
)
def test_format_of_pictures_can_be_selected(run, make_clip, tmp_path, kind, pixels, suffix, mode):
    clip = make_clip(tmp_path / "film.mkv", pixel_format=pixels, sizes=((65, 49),), codec="ffv1")
    code, document = run(clip, "--to-frames", "--format", kind, "-o", "out")
    assert code == 0, document
    paths = sorted((tmp_path / "out" / "film-frames").iterdir())
    assert [p.suffix for p in paths] == [suffix] * 12
    if mode:
        with Image.open(paths[3]) as picture:
            assert (picture.size, picture.mode) == ((65, 49), mode)
    else:
        import tifffile

        assert tifffile.imread(paths[3]).dtype == np.uint16


def test_frames_to_frames_keep_their_numbers_and_fill_gaps(run, tmp_path):
    source = write_frames(tmp_path / "reel", [3, 4, 5, 7, 8, 9])
    (source / "0009.png").write_bytes(b"damaged")
    code, document = run(source, "--frames", "--to-frames", "-o", "out")
    assert code == 0, document
    pictures = read_pictures(tmp_path / "out" / "reel-frames")
    assert list(pictures) == [f"{n:04d}.png" for n in range(3, 10)]
    assert (pictures["0006.png"] == pictures["0005.png"]).all()
    assert (pictures["0009.png"] == pictures["0008.png"]).all()
    for number in (3, 4, 5, 7, 8):
        luma = pictures[f"{number:04d}.png"] @ [0.299, 0.587, 0.114]
        assert np.abs(luma - frame_luma(number)).mean() < 1


def test_preview_and_whole_film_have_different_names(run, make_clip, tmp_path, read_film):
    clip = make_clip(tmp_path / "film.mp4", frames=50)
    assert run(clip, "--to-frames", "-o", "out", "--preview", "1s")[0] == 0
    assert run(clip, "--to-frames", "-o", "out")[0] == 0
    assert len(read_pictures(tmp_path / "out" / "film-preview-frames")) == 25
    assert len(read_pictures(tmp_path / "out" / "film-frames")) == 50
    source = write_frames(tmp_path / "reel", range(48))
    assert run(source, "--frames", "-o", "out", "--preview", "1s")[0] == 0
    assert len(read_film(tmp_path / "out" / "reel-preview.mp4").times) == 24


def test_rotated_film_becomes_upright_pictures(run, make_clip, tmp_path):
    clip = make_clip(tmp_path / "film.mp4", setup=lambda stream: stream.set_display_rotation(90))
    assert run(clip, "--to-frames", "-o", "out")[0] == 0
    with Image.open(tmp_path / "out" / "film-frames" / "000001.png") as picture:
        assert picture.size == (48, 64)
    with av.open(str(clip)) as film:
        frame = next(film.decode(video=0))
        turned = np.rot90(frame.to_ndarray(format="gray"), frame.rotation // 90).astype(float)
    luma = read_pictures(tmp_path / "out" / "film-frames")["000001.png"] @ [0.299, 0.587, 0.114]
    assert np.corrcoef(luma.ravel(), turned.ravel())[0, 1] > 0.99


def test_overwrite_replaces_a_whole_folder_of_frames(run, make_clip, tmp_path):
    clip = make_clip(tmp_path / "film.mp4", frames=20)
    assert run(clip, "--to-frames", "-o", "out")[0] == 0
    make_clip(clip, frames=8)
    assert run(clip, "--to-frames", "-o", "out")[1]["skipped"] == 1
    code, document = run(clip, "--to-frames", "-o", "out", "--if-exists", "overwrite")
    assert (code, document["done"]) == (0, 1)
    assert len(read_pictures(tmp_path / "out" / "film-frames")) == 8
    assert [p.name for p in (tmp_path / "out").iterdir() if p.name[0] != "."] == ["film-frames"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["film.mp4", "--frames"], "film.mp4 is a file"),
        (["film.mp4", "--fps", "24"], "--fps goes with --frames"),
        (["reel", "--frames", "--fps", "0"], "--fps 0"),
        (["reel", "--frames", "--fps", "fast"], "--fps fast"),
        (["reel", "--frames", "--format", "png"], "--frames makes films"),
        (["film.mp4", "--to-frames", "--format", "mkv"], "--to-frames writes pictures"),
        (["film.mp4", "--to-frames", "--crf", "20"], "--to-frames writes pictures"),
        (["film.mp4", "--to-frames", "--strip"], "--strip goes with films"),
        (["empty", "--frames"], "empty: holds no numbered pictures"),
    ],
)
def test_contradictory_options_are_refused(command, flat, make_clip, tmp_path, arguments, message):
    make_clip(tmp_path / "film.mp4")
    write_frames(tmp_path / "reel")
    (tmp_path / "empty").mkdir()
    result = command("run", *arguments, "-m", flat)
    assert result.returncode == 2, result.stderr
    assert message in " ".join(result.stderr.split())
