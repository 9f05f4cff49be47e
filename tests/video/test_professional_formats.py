"""Films of editing programs and tapes: MXF, DV, ProRes, DNxHD keep container, codec and tags."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from batchcolor.cli.result_info import read_file
from batchcolor.images.formats import AVI, DV, MKV, MOV, MP4, MXF
from batchcolor.video.fields import read_field_order, set_field_order
from batchcolor.video.frame_format import FieldOrder
from batchcolor.video.output.codec_choice import choose_container
from batchcolor.video.output.codecs import VideoSettings

PAL, NTSC = Fraction(25), Fraction(30000, 1001)
SOURCES = {
    # name: muxer, encoder, pixel format, size, rate, options, codec of the result
    "dnxhr.mxf": ("mxf", "dnxhd", "yuv422p", (256, 120), PAL, {"profile": "dnxhr_hq"}, "dnxhd"),
    "deep.mov": ("mov", "dnxhd", "yuv422p10le", (256, 120), PAL, {"profile": "dnxhr_hqx"}, "dnxhd"),
    "prores.mxf": ("mxf", "prores_ks", "yuv422p10le", (128, 96), PAL, {}, "prores"),
    "prores.mov": ("mov", "prores_ks", "yuv422p10le", (128, 96), NTSC, {}, "prores"),
    "mpeg2.mxf": ("mxf", "mpeg2video", "yuv422p", (256, 128), PAL, {}, "dnxhd"),
    "small.mxf": ("mxf", "mpeg2video", "yuv422p", (64, 48), PAL, {}, "prores"),
    "ffv1.mxf": ("mxf", "ffv1", "yuv422p10le", (64, 48), PAL, {}, "ffv1"),
    "pal.dv": ("dv", "dvvideo", "yuv420p", (720, 576), PAL, {}, "dvvideo"),
    "ntsc.dv": ("dv", "dvvideo", "yuv411p", (720, 480), NTSC, {}, "dvvideo"),
    "tape.mov": ("mov", "dvvideo", "yuv420p", (720, 576), PAL, {}, "dvvideo"),
    "dvcpro.mxf": ("mxf", "dvvideo", "yuv422p", (720, 576), PAL, {}, "dvvideo"),
}
TIMECODES = {PAL: "10:11:12:13", NTSC: "10:11:12;13"}
FRAMES = 6


def write_tape(
    path, muxer, encoder, pixels, size, rate, options=(), order=None, tags=None, frames=None
):
    """Writes a film with a timecode and stereo PCM, as a camera or an editing program does."""
    with av.open(str(path), "w", format=muxer) as film:
        film.metadata.update({"timecode": TIMECODES[rate], **(tags or {})})
        stream = film.add_stream(encoder, rate=rate, options=dict(options))
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        if order is not None:
            stream.codec_context.field_order = 2 if order is FieldOrder.TOP_FIRST else 3
            stream.codec_context.flags |= 0x00040000  # interlaced DCT
        sound = film.add_stream("pcm_s16le", rate=48000)
        sound.layout = "stereo"
        for number in range(frames or (FRAMES if order is None else 2)):
            grey = np.full(size[::-1], 80 + 5 * number, np.uint8)
            grey[: size[1] // 2, : size[0] // 2] = 200
            frame = av.VideoFrame.from_ndarray(grey, "gray").reformat(format=pixels)
            frame.pts, frame.time_base = number, 1 / rate
            frame = set_field_order(frame, order) if order is not None else frame
            film.mux(stream.encode(frame))
            samples = np.arange(2 * 1920, dtype=np.int16).reshape(1, -1)
            part = av.AudioFrame.from_ndarray(samples, "s16", "stereo")
            part.rate, part.pts, part.time_base = 48000, number * 1920, Fraction(1, 48000)
            film.mux(sound.encode(part))
        film.mux(stream.encode(None))
    return path


def read_tape(path):
    with av.open(str(path)) as film:
        video = film.streams.video[0]
        timecode = film.metadata.get("timecode") or video.metadata.get("timecode")
        sound = b"".join(bytes(p) for p in film.demux(film.streams.audio[0]) if p.size)
        kind = (film.format.name.split(",")[0], video.codec_context.name, video.guessed_rate)
    with av.open(str(path)) as film:
        frames = list(film.decode(video=0))
        times = [frame.pts * frame.time_base for frame in frames]
        luma = [np.frombuffer(f.planes[0], np.uint8)[:64].tolist() for f in frames]
    return kind, timecode, sound, times, frames[0].format.name, luma


def colour(command, flat, path, *options):
    result = command("run", path, "-m", flat, "-o", "out", "--stabilize", "off", *options)
    assert result.returncode == 0, result.stderr
    (target,) = [p for p in (path.parent / "out").iterdir() if not p.name.startswith(".")]
    return target, result.stderr


@pytest.mark.parametrize("name", SOURCES)
def test_professional_film_keeps_container_codec_timecode_and_sound(command, flat, tmp_path, name):
    *source, codec = SOURCES[name]
    path = write_tape(tmp_path / name, *source)
    target, _ = colour(command, flat, path)
    assert target.name == name
    before, after = read_tape(path), read_tape(target)
    assert after[0] == (before[0][0], codec, before[0][2])
    assert after[1] == before[1] == TIMECODES[source[4]]
    assert after[2:4] == before[2:4]
    if codec == before[0][1]:
        assert after[4] == before[4]


@pytest.mark.parametrize(
    ("codec", "order"), [("dnxhd", FieldOrder.BOTTOM_FIRST), ("prores_ks", FieldOrder.TOP_FIRST)]
)
def test_interlaced_mxf_keeps_the_field_order(command, flat, tmp_path, codec, order):
    pixels, size = ("yuv422p", (1920, 1080)) if codec == "dnxhd" else ("yuv422p10le", (720, 576))
    options = {"b": "185M"} if codec == "dnxhd" else {}
    path = write_tape(tmp_path / "a.mxf", "mxf", codec, pixels, size, PAL, options, order)
    target, notes = colour(command, flat, path)
    with av.open(str(target)) as film:
        assert film.streams.video[0].height == size[1]
        assert [read_field_order(frame) for frame in film.decode(video=0)] == [order] * 2
    assert "field order" not in notes
    # The descriptor: layout by fields, and which one is first.
    data = target.read_bytes()
    assert b"\x32\x0c\0\1\1" in data
    assert (b"\x32\x12\0\1\2" in data) == (order is FieldOrder.BOTTOM_FIRST)


def test_dnxhr_in_mxf_keeps_the_sample_aspect_ratio(make_clip, command, flat, tmp_path):
    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)

    source = make_clip(tmp_path / "a.mkv", frames=2, sizes=((256, 120),), setup=setup)
    target, _ = colour(command, flat, source, "--codec", "dnxhr", "--format", "mxf")
    with av.open(str(target)) as film:
        assert film.streams.video[0].sample_aspect_ratio == Fraction(16, 15)


def test_reel_name_is_kept_within_and_between_mov_and_mxf(command, flat, tmp_path):
    source, tags = SOURCES["prores.mxf"][:-1], {"reel_name": "A012"}
    path = write_tape(tmp_path / "a.mxf", *source, tags=tags)
    names = []
    for options in ((), ("--format", "mov", "--if-exists", "overwrite")):
        target, _ = colour(command, flat, path, *options)
        with av.open(str(target)) as film:
            names += [s.metadata["reel_name"] for s in film.streams if "reel_name" in s.metadata]
        target.unlink()
    assert set(names) == {"A012"}
    assert len(names) == 3  # video and audio of MXF, timecode of MOV


def test_mark_and_title_are_user_comments_of_mxf(command, flat, tmp_path):
    path = write_tape(tmp_path / "a.mov", *SOURCES["prores.mov"][:-1], tags={"title": "Reel"})
    target, _ = colour(command, flat, path, "--format", "mxf")
    with av.open(str(target)) as film:
        assert film.metadata["comment_title"] == "Reel"
    assert read_file(target, target.name).parameters["model"] == flat


def test_variable_frame_rate_is_refused_in_mxf(command, flat, tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 120, "yuv420p"
        for tick in (0, 1, 2, 3.5, 4, 5):
            frame = av.VideoFrame(256, 120, "yuv420p")
            frame.pts, frame.time_base = round(tick * 40), Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    result = command("run", "a.mkv", "-m", flat, "-o", "out", "--format", "mxf")
    assert result.returncode == 3
    assert "mxf has one frame rate, and the film's varies" in result.stderr


def test_dnxhr_states_bt709_and_its_chroma_is_of_bt709(command, flat, tmp_path):
    path = write_tape(tmp_path / "a.mxf", *SOURCES["mpeg2.mxf"][:-1])
    target, notes = colour(command, flat, path)
    assert "chroma is computed with the matrix of BT.709" in notes
    with av.open(str(target)) as film:
        assert next(film.decode(video=0)).colorspace == 1


@pytest.mark.parametrize(
    ("settings", "own", "container"),
    [
        ({}, MXF, MXF),
        ({}, DV, DV),
        ({}, AVI, MKV),
        ({"crf": 18}, MXF, MKV),
        ({"codec": "h264"}, DV, MKV),
        ({"codec": "dnxhr"}, MP4, MXF),
        ({"codec": "dnxhr"}, MOV, MOV),
        ({"compare": True}, DV, MKV),
        ({"bit_depth": 10}, DV, MKV),
    ],
)
def test_container_follows_source_and_codec(settings, own, container):
    assert choose_container(VideoSettings(**settings), own) == container


def test_h264_for_an_editing_film_where_it_is_asked_for(command, flat, tmp_path):
    path = write_tape(tmp_path / "a.mov", *SOURCES["prores.mov"][:-1])
    target, _ = colour(command, flat, path, "--codec", "h264")
    with av.open(str(target)) as film:
        assert film.streams.video[0].codec_context.name == "h264"


def test_full_range_becomes_limited_range_in_prores(command, flat, tmp_path):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    (tmp_path / "reel").mkdir()
    Image.fromarray(ramp).save(tmp_path / "reel" / "0001.png")
    with av.open(str(tmp_path / "full.mov"), "w") as film:
        stream = film.add_stream("mjpeg", rate=25, options={"q:v": "1"})
        stream.width, stream.height, stream.pix_fmt = 256, 16, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(ramp, "gray").reformat(format="yuvj420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        film.mux([*stream.encode(frame), *stream.encode(None)])
    for source, options in (("reel", ["--frames"]), ("full.mov", [])):
        result = command(
            "run", source, "-m", flat, "-o", f"out-{source}", "--codec", "prores", *options
        )
        assert "full range becomes limited range: prores has no other" in result.stderr
        (target,) = (tmp_path / f"out-{source}").glob("*.mov")
        with av.open(str(target)) as film:
            frame = next(film.decode(video=0))
        luma = np.frombuffer(frame.planes[0], "<u2").reshape(16, -1)[8, :256].astype(float)
        assert frame.color_range == 1
        assert np.abs((luma - 64) / 876 * 255 - np.arange(256)).max() < 2


def write_gap(path, ticks):
    """Writes a film whose frames begin at these multiples of 1/25 second."""
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 120, "yuv420p"
        for number, tick in enumerate(ticks):
            grey = np.full((180, 256), 128, np.uint8)
            grey[:120] = 60 + 20 * number
            frame = av.VideoFrame.from_ndarray(grey, "yuv420p")
            frame.pts, frame.time_base = tick * 40, Fraction(1, 1000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


def test_mxf_repeats_frames_where_the_film_has_none(command, flat, tmp_path):
    write_gap(tmp_path / "a.mkv", (0, 1, 2, 5, 6))
    target, _ = colour(command, flat, tmp_path / "a.mkv", "--format", "mxf")
    with av.open(str(target)) as film:
        frames = list(film.decode(video=0))
    levels = [int(np.frombuffer(frame.planes[0], np.uint8)[0]) for frame in frames]
    assert [round((level - 60) / 20) for level in levels] == [0, 1, 2, 2, 2, 3, 4]


def test_truncated_mxf_shows_its_last_frame_to_the_end(command, flat, tmp_path):
    path = write_tape(tmp_path / "a.mxf", *SOURCES["prores.mxf"][:-1], frames=20)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    target, notes = colour(command, flat, path)
    assert "it is shown until there" in notes
    with av.open(str(target)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 20


def test_compressed_audio_becomes_pcm_in_mxf_where_it_is_asked_for(command, flat, tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 120, "yuv420p"
        sound = film.add_stream("aac", rate=44100)
        sound.layout = "stereo"
        for number in range(5):
            grey = np.full((180, 256), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(frame))
            part = av.AudioFrame.from_ndarray(np.zeros((2, 1764), np.float32), "fltp", "stereo")
            part.rate, part.pts, part.time_base = 44100, number * 1764, Fraction(1, 44100)
            film.mux(sound.encode(part))
        film.mux([*stream.encode(None), *sound.encode(None)])
    options = ("run", "a.mkv", "-m", flat, "-o", "out", "--format", "mxf")
    refused = command(*options)
    assert "mxf cannot hold audio stream 1 (aac)" in refused.stderr
    assert command(*options, "--recode-sound", "--retry-failed").returncode == 0
    with av.open(str(tmp_path / "out" / "a.mxf")) as film:
        context = film.streams.audio[0].codec_context
        assert (context.name, context.sample_rate) == ("pcm_s16le", 48000)


@pytest.mark.parametrize(("kept", "note"), [(3, False), (9, True)])
def test_audio_of_mxf_is_as_long_as_the_picture(command, flat, tmp_path, kept, note):
    with av.open(str(tmp_path / "a.mov"), "w") as film:
        stream = film.add_stream("prores_ks", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv422p10le"
        sound = film.add_stream("pcm_s16le", rate=48000)
        sound.layout = "stereo"
        for number in range(kept):
            part = av.AudioFrame.from_ndarray(np.full((1, 3840), 7, np.int16), "s16", "stereo")
            part.rate, part.pts, part.time_base = 48000, number * 1920, Fraction(1, 48000)
            film.mux(sound.encode(part))
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64), 99, np.uint8), "gray")
            frame = frame.reformat(format="yuv422p10le")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    target, notes = colour(command, flat, tmp_path / "a.mov", "--format", "mxf")
    assert ("mxf ends with the picture" in notes) is note
    _, _, sound, times, *_ = read_tape(target)
    assert len(times) == FRAMES
    samples = np.frombuffer(sound, "<i2")
    assert len(samples) == FRAMES * 3840
    assert (samples[: kept * 3840] == 7).all()
    assert (samples[kept * 3840 :] == 0).all()
