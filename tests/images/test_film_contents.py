"""Films are found in folders by their content: without a suffix, or with one that is wrong."""

from fractions import Fraction

import av
import numpy as np
import pytest

from batchcolor.images.scan import ScannedFile, SkippedEntry, scan

CONTAINERS = {
    # name of the format: muxer, encoder, pixel format, width and height
    "mp4": ("mp4", "mpeg4", "yuv420p", (64, 48)),
    "mov": ("mov", "mjpeg", "yuvj420p", (64, 48)),
    "mkv": ("matroska", "ffv1", "yuv420p", (64, 48)),
    "webm": ("webm", "libvpx", "yuv420p", (64, 48)),
    "avi": ("avi", "mpeg4", "yuv420p", (64, 48)),
    "flv": ("flv", "flv", "yuv420p", (64, 48)),
    "wmv": ("asf", "wmv2", "yuv420p", (64, 48)),
    "3gp": ("3gp", "mpeg4", "yuv420p", (64, 48)),
    "mpeg": ("vob", "mpeg2video", "yuv420p", (64, 48)),
    "mpeg-ts": ("mpegts", "mpeg2video", "yuv420p", (64, 48)),
    "mxf": ("mxf", "mpeg2video", "yuv422p", (64, 48)),
    "gxf": ("gxf", "mpeg2video", "yuv420p", (720, 576)),
    "wtv": ("wtv", "mpeg2video", "yuv420p", (64, 48)),
    "nut": ("nut", "mpeg4", "yuv420p", (64, 48)),
    "realmedia": ("rm", "rv20", "yuv420p", (176, 144)),
    "ogg": ("ogg", "libvpx", "yuv420p", (64, 48)),
    "dv": ("dv", "dvvideo", "yuv420p", (720, 576)),
    "ivf": ("ivf", "libvpx", "yuv420p", (64, 48)),
    "av1": ("obu", "libsvtav1", "yuv420p", (64, 64)),
    "dvcpro hd": ("dv", "dvvideo", "yuv422p", (1440, 1080)),
    "yuv4mpeg": ("yuv4mpegpipe", "wrapped_avframe", "yuv420p", (64, 48)),
    "mpeg video": ("mpeg2video", "mpeg2video", "yuv420p", (64, 48)),
    "mpeg-4 video": ("m4v", "mpeg4", "yuv420p", (64, 48)),
    "h264": ("h264", "libx264", "yuv420p", (64, 48)),
    "h265": ("hevc", "libx265", "yuv420p", (64, 64)),
    "dnxhd": ("dnxhd", "dnxhd", "yuv422p", (1280, 720)),
    "game film": ("roq", "roqvideo", "yuvj444p", (128, 128)),
}
TEXTLESS_NOISE = b"\x00\x93\xf4\x81" * 300


def write_grey_film(path, muxer, encoder, pixel_format, size, frames=3):
    options = {"b": "60M"} if encoder == "dnxhd" else {}
    rate = 30 if muxer == "roq" else 25
    with av.open(str(path), "w", format=muxer) as film:
        stream = film.add_stream(encoder, rate=rate, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        for number in range(frames):
            grey = np.full(size[::-1], 90 + 20 * number, np.uint8)
            grey[: size[1] // 2] = 40
            frame = av.VideoFrame.from_ndarray(grey, "gray").reformat(format=pixel_format)
            frame.pts, frame.time_base = number, Fraction(1, rate)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", CONTAINERS)
def test_film_is_identified_by_its_content(tmp_path, name):
    write_grey_film(tmp_path / "film", *CONTAINERS[name])
    (tmp_path / "film.jpg").write_bytes((tmp_path / "film").read_bytes())
    plain, misnamed = scan(tmp_path)
    assert isinstance(plain, ScannedFile)
    assert isinstance(misnamed, ScannedFile)
    assert (plain.format.name, misnamed.format.name) == (name, name)
    assert plain.is_film
    assert plain.note == ""
    assert misnamed.note == f"is {name.upper()} by content, not by its suffix"


@pytest.mark.parametrize("suffix", [".mod", ".dat", ".drc", ".ogg", ".cmp", ".avc"])
def test_suffix_that_other_files_have_too_does_not_make_a_film(tmp_path, suffix):
    (tmp_path / f"file{suffix}").write_bytes(TEXTLESS_NOISE)
    (entry,) = scan(tmp_path)
    assert isinstance(entry, SkippedEntry)


def test_films_of_a_folder_are_coloured_whatever_they_are_called(command, flat, tmp_path):
    folder = tmp_path / "tapes"
    folder.mkdir()
    names = ("h264", "mpeg-4 video", "mxf", "wtv", "dnxhd")
    for name in names:
        write_grey_film(folder / f"reel {name}", *CONTAINERS[name])
    (folder / "notes.bin").write_bytes(TEXTLESS_NOISE)
    result = command("run", "tapes", "-m", flat, "-o", "out", "-v")
    assert result.returncode == 0, result.stderr
    assert "notes.bin: not a picture or film" in result.stderr
    written = [p for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")]
    assert len(written) == len(names)
    for path in written:
        with av.open(str(path)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 3


def test_source_of_unknown_content_is_tried_as_a_film(command, flat, tmp_path):
    write_grey_film(tmp_path / "clip.swf", "swf", "flv", "yuv420p", (64, 48))
    (tmp_path / "noise.bin").write_bytes(TEXTLESS_NOISE)
    result = command("run", "clip.swf", "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    result = command("run", "noise.bin", "-m", flat, "-o", "out")
    assert result.returncode == 3
    assert "noise.bin: not a picture or film in a known format" in result.stderr
