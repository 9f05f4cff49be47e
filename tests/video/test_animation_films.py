"""Animated PNG and WebP become films and GIFs: durations, loop count, transparency."""

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

DURATIONS = [40, 80, 120, 40]
SECONDS = [0.0, 0.04, 0.12, 0.24]


def write_animation(path, *, has_alpha=True, loop=0, durations=DURATIONS):
    frames = []
    for number in range(len(durations)):
        mode, back = ("RGBA", (0, 0, 0, 0)) if has_alpha else ("L", 60)
        frame = Image.new(mode, (48, 32), back)
        fill = (180, 180, 180, 255) if has_alpha else 180
        ImageDraw.Draw(frame).ellipse((4 + 6 * number, 8, 20 + 6 * number, 24), fill=fill)
        frames.append(frame)
    options = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=durations, loop=loop, **options
    )


def read_times(path):
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        return [float(f.pts * f.time_base) for f in frames], film.duration / 1e6


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("has_alpha", [True, False])
def test_animation_becomes_a_film_with_its_durations(command, flat, tmp_path, suffix, has_alpha):
    write_animation(tmp_path / f"a{suffix}", has_alpha=has_alpha)
    result = command("run", f"a{suffix}", "-m", flat, "-o", "out", "--format", "mp4", "--crf", "1")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / f"a{suffix}") as image:  # libwebp codes unchanged areas as alpha
        is_noted = image.has_transparency_data
    assert ("transparent areas become black" in result.stderr) is is_noted
    times, seconds = read_times(tmp_path / "out" / "a.mp4")
    assert times == pytest.approx(SECONDS)
    assert seconds == pytest.approx(0.28)
    with av.open(str(tmp_path / "out" / "a.mp4")) as film:
        frame = next(film.decode(video=0))
    luma = np.frombuffer(frame.planes[0], np.uint8).reshape(32, -1)[:, :48].astype(int)
    assert abs(luma[16, 10] - (16 + 180 * 219 / 255)) <= 2
    assert abs(luma[2, 2] - (16 if has_alpha else 16 + 60 * 219 / 255)) <= 2


@pytest.mark.parametrize(("plays", "repetitions"), [(0, 0), (3, 2)])
def test_webp_becomes_a_gif_with_loop_count_and_transparency(
    command, flat, tmp_path, plays, repetitions
):
    write_animation(tmp_path / "a.webp", loop=plays)
    result = command("run", "a.webp", "-m", flat, "-o", "out", "--format", "gif")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "a.gif") as gif:
        assert gif.n_frames == len(DURATIONS)
        assert gif.info["loop"] == repetitions
        shown = []
        for number in range(gif.n_frames):
            gif.seek(number)
            shown.append(gif.info["duration"])
            pixels = np.asarray(gif.convert("RGBA"))
            assert pixels[2, 2, 3] == 0
            assert pixels[16, 12 + 6 * number, 3] == 255
    assert shown == DURATIONS


def test_frames_of_an_animation_are_written_as_pictures(command, flat, tmp_path):
    write_animation(tmp_path / "a.png", has_alpha=False)
    assert command("run", "a.png", "-m", flat, "-o", "out", "--to-frames").returncode == 0
    names = sorted(path.name for path in (tmp_path / "out" / "a-frames").iterdir())
    assert names == [f"{number:06d}.png" for number in range(1, 5)]


def test_preview_of_an_animation_is_a_part_of_it(command, flat, tmp_path):
    write_animation(tmp_path / "a.webp", has_alpha=False)
    options = ("--format", "mkv", "--preview", "0.1s")
    assert command("run", "a.webp", "-m", flat, "-o", "out", *options).returncode == 0
    times, _ = read_times(tmp_path / "out" / "a-preview.mkv")
    assert times == pytest.approx(SECONDS[:2])


def test_animation_without_a_film_format_stays_as_it_is(command, flat, tmp_path):
    write_animation(tmp_path / "a.webp", has_alpha=False)
    assert command("run", "a.webp", "-m", flat, "-o", "out").returncode == 0
    with Image.open(tmp_path / "out" / "a.webp") as image:
        assert image.n_frames == len(DURATIONS)


def test_truncated_animation_fails(command, flat, tmp_path):
    write_animation(tmp_path / "a.webp", has_alpha=False)
    data = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "a.webp").write_bytes(data[: len(data) * 3 // 4])
    result = command("run", "a.webp", "-m", flat, "-o", "out", "--format", "mp4")
    assert result.returncode == 3
    assert not list((tmp_path / "out").glob("*.mp4"))
