"""`--preview`, the beginning of a film, and `--compare`, the film beside its grey source."""

import av
import numpy as np
import pytest


def test_preview_is_the_beginning_with_its_own_name(make_clip, flat, command, tmp_path, read_film):
    clip = make_clip(tmp_path / "film.mp4", frames=75, audio=("aac",))
    for options, name in ((("--preview", "1s"), "film-preview.mp4"), ((), "film.mp4")):
        result = command("run", clip, "-m", flat, "-o", "out", *options)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "out" / name).exists()
    whole, preview = (
        read_film(tmp_path / "out" / "film.mp4"),
        read_film(tmp_path / "out" / "film-preview.mp4"),
    )
    assert preview.times == whole.times[:25]
    assert len(whole.times) == 75
    assert preview.seconds == pytest.approx(1.0, abs=0.05)
    assert preview.packets[1] == whole.packets[1][: len(preview.packets[1])]


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_comparison_shows_the_grey_source_at_the_left(
    make_clip, colour_film, tmp_path, pixels, assert_same_times
):
    clip = make_clip(tmp_path / "film.mkv", pixel_format=pixels, audio=("aac",))
    before, after, target = colour_film(clip, "--compare")
    assert target.name == "film-compare.mkv"
    assert after.size == (2 * before.size[0], before.size[1])
    assert_same_times(before, after)
    luma, chroma = after.luma[5], after.chroma[5][0]
    half, middle = luma.shape[1] // 2, 128 << (2 if "10" in pixels else 0)
    assert np.abs(luma[:, :half] - luma[:, half:]).mean() < 1.5
    assert np.abs(luma[:, :half] - before.luma[5]).mean() < 1.5
    grey, colour = np.array_split(chroma, 2, axis=1)
    assert abs(grey[:, :-4].mean() - middle) < 2
    assert colour.mean() > middle + 10
    assert after.packets[1] == before.packets[1]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_grey_source_is_at_the_left_of_a_rotated_film(make_clip, command, flat, tmp_path, degrees):
    clip = make_clip(
        tmp_path / "phone.mp4", setup=lambda stream: stream.set_display_rotation(degrees)
    )
    result = command("run", clip, "-m", flat, "-o", "out", "--compare")
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "phone-compare.mp4")) as film:
        frame = next(film.decode(video=0))
        shown = np.rot90(frame.to_ndarray(format="rgb24").astype(int), frame.rotation // 90)
    upright = (64, 48) if degrees % 180 == 0 else (48, 64)
    assert shown.shape[:2] == (upright[1], 2 * upright[0])
    left, right = shown[:, : upright[0] - 4], shown[:, upright[0] + 4 :]
    assert np.ptp(left, axis=2).mean() < 4 < 15 < np.ptp(right, axis=2).mean()


@pytest.mark.parametrize("value", ["", "0", "ten", "-3s"])
def test_invalid_preview_length_is_refused(make_clip, flat, command, tmp_path, value):
    clip = make_clip(tmp_path / "film.mp4")
    result = command("run", clip, "-m", flat, f"--preview={value}")
    assert result.returncode == 2
    assert "as 10s or 2m" in result.stderr
