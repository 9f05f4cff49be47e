"""Animated GIFs: all frames in colour; durations, loop count and transparency are kept."""

import json
import struct

import av
import numpy as np
import pytest
from PIL import Image

DURATIONS = [20, 10, 70, 200, 1000, 3330]
"""Milliseconds; a GIF stores hundredths of a second."""


def write_animation(path, durations=DURATIONS, is_transparent=False, size=(64, 48), **options):
    """Writes a grey animation with a moving square; optionally with transparent areas."""
    width, height = size
    pictures = []
    for index in range(len(durations)):
        luma = np.linspace(20, 235, width * height).reshape(height, width).astype(np.uint8)
        luma[10:20, 5 * index : 5 * index + 10] = 255
        picture = Image.fromarray(luma).convert("RGBA")
        alpha = np.full((height, width), 255, np.uint8)
        if is_transparent:
            alpha[:5] = 0
            alpha[30:40, 5 * index : 5 * index + 8] = 0
        picture.putalpha(Image.fromarray(alpha))
        pictures.append(picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"disposal": 2} | options
    first, *rest = pictures
    first.save(path, save_all=True, append_images=rest, duration=durations, **options)
    return path


def read_gif(path):
    """Reads frames as RGBA, durations in ms and the loop count with Pillow."""
    frames, durations = [], []
    with Image.open(path) as image:
        assert image.format == "GIF"
        loop = image.info.get("loop")
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info.get("duration"))
            frames.append(np.asarray(image.convert("RGBA")).astype(int))
    return frames, durations, loop


def rgb_to_luma(rgba):
    return rgba[..., :3] @ np.array([0.299, 0.587, 0.114])


@pytest.mark.parametrize("loop", [{}, {"loop": 0}, {"loop": 3}], ids=["once", "forever", "3"])
def test_gif_is_coloured_and_keeps_durations_and_loop_count(flat, command, tmp_path, loop):
    source = write_animation(tmp_path / "a.gif", **loop)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    before, after = read_gif(source), read_gif(tmp_path / "out" / "a.gif")
    assert after[1:] == before[1:] == (DURATIONS, loop.get("loop"))
    for old, new in zip(before[0], after[0], strict=True):
        assert np.abs(rgb_to_luma(old) - rgb_to_luma(new)).mean() < 3
        red, _, blue = (new[..., channel].mean() for channel in range(3))
        assert blue > red + 20


def test_transparency_is_kept(flat, command, tmp_path):
    source = write_animation(tmp_path / "a.gif", is_transparent=True, loop=0)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    before, after = read_gif(source), read_gif(tmp_path / "out" / "a.gif")
    assert before[0][0][..., 3].min() == 0
    for old, new in zip(before[0], after[0], strict=True):
        assert (old[..., 3] == new[..., 3]).all()


def test_gif_with_one_frame_stays_a_gif(flat, command, tmp_path):
    Image.fromarray(np.full((9, 7), 90, np.uint8)).save(tmp_path / "one.gif")
    result = command("run", tmp_path / "one.gif", "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    (frame,), _, _ = read_gif(tmp_path / "out" / "one.gif")
    assert frame.shape == (9, 7, 4)
    assert frame[..., 2].mean() > frame[..., 0].mean() + 10


def test_canvas_of_a_gif_is_kept_where_its_first_frame_is_smaller(flat, command, tmp_path):
    source = write_animation(tmp_path / "a.gif", is_transparent=True)
    data = bytearray(source.read_bytes())
    data[6:10] = struct.pack("<HH", 100, 80)  # the logical screen; frames stay at its upper left
    source.write_bytes(data)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    frames, _, _ = read_gif(tmp_path / "out" / "a.gif")
    assert len(frames) == len(DURATIONS)
    for frame in frames:
        assert frame.shape == (80, 100, 4)
        assert not frame[50:, 70:, 3].any()


def test_format_and_codec_of_other_files_do_not_apply_to_a_gif(flat, command, album, tmp_path):
    source = album(2)
    write_animation(source / "b.gif", loop=0)
    for index, options in enumerate((["--format", "png"], ["--codec", "ffv1"])):
        result = command("run", source, "-m", flat, "-o", f"out{index}", *options)
        assert result.returncode == 0, result.stderr
        assert len(read_gif(tmp_path / f"out{index}" / "b.gif")[0]) == len(DURATIONS)
    assert len(list((tmp_path / "out0").rglob("*.png"))) == 2


def test_gif_becomes_a_film_with_format_mp4(flat, command, tmp_path):
    source = write_animation(tmp_path / "a.gif", loop=0)
    result = command("run", source, "-m", flat, "-o", "out", "--format", "mp4")
    assert result.returncode == 0, result.stderr
    with av.open(str(tmp_path / "out" / "a.mp4")) as film:
        times = [round(frame.time * 1000) for frame in film.decode(video=0)]
        assert film.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert film.duration / 1e6 == pytest.approx(sum(DURATIONS) / 1000, abs=0.011)
    assert times == [0, *np.cumsum(DURATIONS)[:-1]]


def test_silent_film_becomes_a_gif_and_one_with_audio_is_refused(
    flat, command, make_clip, tmp_path
):
    films = tmp_path / "films"
    make_clip(films / "silent.mp4", frames=25)
    make_clip(films / "talking.mp4", frames=25, audio=("aac",))
    result = command("run", films, "-m", flat, "-o", "out", "--format", "gif", "--json")
    assert result.returncode == 3, result.stderr
    (failure,) = json.loads(result.stdout)["failures"]
    assert failure["source"].endswith("talking.mp4")
    assert failure["step"] == "plan"
    assert "gif cannot hold audio stream 1 (aac); --format mkv can" in failure["reason"]
    frames, durations, loop = read_gif(tmp_path / "out" / "silent.gif")
    assert (len(frames), durations, loop) == (25, [40] * 25, 0)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_codec_gif_converts_films_of_any_container(flat, command, make_clip, tmp_path, suffix):
    clip = make_clip(tmp_path / f"silent.{suffix}", codec="mpeg4", frames=10)
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", "gif")
    assert result.returncode == 0, result.stderr
    assert len(read_gif(tmp_path / "out" / "silent.gif")[0]) == 10


def test_truncated_gif_keeps_its_intact_frames(flat, command, tmp_path):
    source = write_animation(tmp_path / "a.gif", durations=[100] * 20, loop=0)
    source.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    frames, durations, _ = read_gif(tmp_path / "out" / "a.gif")
    assert 8 < len(frames) < 20
    assert set(durations) == {100}
    result = command("run", source, "-m", flat, "-o", "strict", "--strict")
    assert result.returncode == 3


def test_format_gif_with_another_codec_is_refused(flat, command, album):
    result = command("run", album(1), "-m", flat, "--format", "gif", "--codec", "av1")
    assert result.returncode == 2
    assert "av1 is written to" in result.stderr


def find_pixels(data):
    """Offsets of the first sub-block of compressed data of each frame."""
    offsets, position = [], 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[position] != 0x3B:
        if data[position] == 0x2C:
            flags = data[position + 9]
            position += 10 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0) + 1
            offsets.append(position)
        else:
            position += 2
        while data[position]:
            position += 1 + data[position]
        position += 1
    return offsets


@pytest.mark.parametrize("damage", ["code", "missing"])
def test_damaged_pixels_of_a_frame_are_reported(flat, command, tmp_path, damage):
    source = write_animation(tmp_path / "a.gif", [100, 100, 100])
    data = bytearray(source.read_bytes())
    second = find_pixels(data)[1]
    if damage == "code":
        data[second + 1 + 3 : second + 1 + 40] = b"\xff" * 37
    else:
        size = data[second]
        data[second : second + 1 + size] = bytes((20,)) + data[second + 1 : second + 21] + b"\0"
        end = second + 22
        while data[end]:  # the other sub-blocks of the frame
            del data[end : end + 1 + data[end]]
        del data[end]
    source.write_bytes(data)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    assert "1 damaged place at 0.10 s: its pixels are damaged" in result.stderr
    strict = command("run", source, "-m", flat, "-o", "strict", "--strict")
    assert strict.returncode == 3
    assert "damaged at 0.10 s: its pixels are damaged" in strict.stderr


def test_extension_after_the_last_frame_is_no_damage(flat, command, tmp_path):
    source = write_animation(tmp_path / "a.gif", [100, 100])
    data = source.read_bytes()
    source.write_bytes(data[:-1] + b"\x21\xfe\x02hi\0;")
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    assert "damaged" not in result.stderr


def test_last_frames_that_cannot_be_decoded_are_replaced_by_the_one_before(flat, command, tmp_path):
    source = write_animation(tmp_path / "a.gif", [100, 200, 300])
    data = bytearray(source.read_bytes())
    for start in find_pixels(data)[1:]:
        data[start - 1] = 20  # bits of a code
    source.write_bytes(data)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    assert "2 damaged places, the first at 0.10 s" in result.stderr
    frames, durations, _ = read_gif(tmp_path / "out" / "a.gif")
    assert len(frames) == 1
    assert durations == [600]


def test_gif_without_a_colour_table_fails_with_that_reason(flat, command, tmp_path):
    source = tmp_path / "a.gif"
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(source)
    data = source.read_bytes()
    size = 3 << ((data[10] & 7) + 1)
    source.write_bytes(data[:10] + bytes([data[10] & 0x7F]) + data[11:13] + data[13 + size :])
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 3
    assert "no frame can be decoded: it has no colour table" in result.stderr


@pytest.mark.parametrize("is_transparent", [False, True])
def test_gif_of_more_frames_than_a_segment_is_one_gif(flat, command, tmp_path, is_transparent):
    count = 256  # a segment has 250
    pictures = []
    for index in range(count):
        luma = np.full((6, 8), 40, np.uint8)
        luma[index % 6, index % 8] = 60 + index % 190 if index < 245 else 220
        picture = Image.fromarray(luma).convert("RGBA")
        alpha = np.full((6, 8), 255, np.uint8)
        alpha[0, 0] = 0 if is_transparent else 255
        picture.putalpha(Image.fromarray(alpha))
        pictures.append(picture)
    source = tmp_path / "a.gif"
    first, *rest = pictures
    first.save(source, save_all=True, append_images=rest, duration=50, disposal=2)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    before, after = read_gif(source), read_gif(tmp_path / "out" / "a.gif")
    assert len(after[0]) == count
    assert after[1] == before[1]
    for old, new in zip(before[0], after[0], strict=True):
        assert np.array_equal(old[..., 3], new[..., 3])
        difference = (rgb_to_luma(new) - rgb_to_luma(old))[old[..., 3] > 0]
        assert abs(difference.mean()) < 2


@pytest.mark.parametrize("size", [(2, 1), (9, 1), (1, 7), (20, 12)], ids=str)
def test_opaque_pixels_of_the_last_row_of_a_transparent_gif_are_kept(flat, command, tmp_path, size):
    width, height = size
    samples = np.full((height, width, 4), 101, np.uint8)
    samples[..., 3] = 255
    samples.reshape(-1, 4)[-1, 3] = 0
    if height > 7:
        samples[:-1, : width // 2, 3] = 0  # the last row is wider than those above it
    source = tmp_path / "a.gif"
    Image.fromarray(samples).save(source)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    (before,), (after,) = read_gif(source)[0], read_gif(tmp_path / "out" / "a.gif")[0]
    assert np.array_equal(before[..., 3], after[..., 3])
    opaque = before[..., 3] > 0
    assert opaque.any()
    assert abs((rgb_to_luma(after) - rgb_to_luma(before))[opaque].mean()) < 3


def test_opaque_frame_is_not_seen_through_the_next_one(flat, command, tmp_path):
    opaque, holes = (np.full((6, 8, 4), level, np.uint8) for level in (200, 60))
    opaque[..., 3] = holes[..., 3] = 255
    holes[1:4, 2:6, 3] = 0
    source = tmp_path / "a.gif"
    pictures = [Image.fromarray(samples) for samples in (holes, opaque, holes, opaque)]
    pictures[0].save(
        source, save_all=True, append_images=pictures[1:], duration=100, disposal=2, optimize=False
    )
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    before, after = read_gif(source)[0], read_gif(tmp_path / "out" / "a.gif")[0]
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old[..., 3], new[..., 3])
    assert (before[2][..., 3] == 0).any()


def test_pixel_that_changes_back_is_shown(flat, command, tmp_path):
    frames = []
    for level in (255, 76, 255, 76, 255):
        luma = np.zeros((2, 2), np.uint8)
        luma[0] = 255, level
        frames.append(Image.fromarray(luma))
    source = tmp_path / "a.gif"
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=100)
    result = command("run", source, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    shown = [rgb_to_luma(frame)[0, 1] for frame in read_gif(tmp_path / "out" / "a.gif")[0]]
    assert np.abs(np.array(shown) - (255, 76, 255, 76, 255)).max() < 12
