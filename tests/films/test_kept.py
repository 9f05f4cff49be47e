"""What a coloured film keeps: frames, times, sound, text, names, tags."""

import hashlib
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.codec.context import Flags
from av.sidedata.sidedata import Type

CONTAINER_TAGS = {"encoder", "major_brand", "minor_version", "compatible_brands"}


def planes(frame):
    """All planes as integers, without padding."""
    deep = frame.format.components[0].bits > 8
    kind = np.dtype("<u2" if deep else "u1")
    return [
        np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width].astype(int) for p in frame.planes
    ]


def look(path, stream=None):
    """A film as a reader that knows nothing of batchcolor sees it."""
    seen = SimpleNamespace(packets={}, times=[], luma=[], chroma=[])
    with av.open(str(path)) as film:
        seen.index = film.streams.best("video").index if stream is None else stream
        for packet in film.demux():
            if packet.size:
                digest = hashlib.sha256(bytes(packet)).hexdigest()
                place = packet.pts * packet.time_base if packet.pts is not None else None
                seen.packets.setdefault(packet.stream_index, []).append((digest, place))
        seen.tracks = [
            (s.type, s.metadata.get("language"), s.metadata.get("title"), int(s.disposition))
            for s in film.streams
        ]
        seen.chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"])
            for c in film.chapters()
        ]
        seen.metadata = {k: v for k, v in film.metadata.items() if k.lower() not in CONTAINER_TAGS}
        seen.seconds = film.duration / 1e6
        video = film.streams[seen.index]
        seen.codec, seen.tag = video.codec_context.name, video.codec_context.codec_tag
        seen.aspect, seen.rate = video.sample_aspect_ratio, video.average_rate
        seen.field_order, seen.time_base = video.codec_context.field_order, video.time_base
    with av.open(str(path)) as film:
        for frame in film.decode(film.streams[seen.index]):
            seen.times.append(frame.pts * frame.time_base)
            y, *chroma = planes(frame)
            seen.luma.append(y)
            seen.chroma.append(chroma)
            seen.size, seen.format = (frame.width, frame.height), frame.format.name
            seen.colour = (
                frame.color_range,
                frame.colorspace,
                frame.color_primaries,
                frame.color_trc,
            )
            seen.rotation, seen.interlaced = frame.rotation, frame.interlaced_frame
            matrix = frame.side_data.get(Type.DISPLAYMATRIX)
            seen.display = bytes(matrix) if matrix is not None else b""
    return seen


@pytest.fixture
def coloured(flat, command, tmp_path):
    """Colours one film by the command and gives what a reader sees before and after."""

    def run(source, *options):
        result = command("run", source, "-m", flat, "-o", "out", "--crf", "1", *options)
        assert result.returncode == 0, result.stderr
        (target,) = [p for p in (tmp_path / "out").iterdir() if not p.name.startswith(".")]
        return look(source), look(target), target

    return run


def same_times(before, after):
    tick = max(before.time_base, after.time_base)
    assert len(after.times) == len(before.times)
    assert max(abs(a - b) for a, b in zip(after.times, before.times, strict=True)) <= tick


def test_every_frame_is_there_at_its_time_in_colour_with_its_own_luma(
    make_clip, coloured, tmp_path
):
    before, after, _ = coloured(make_clip(tmp_path / "film.mp4", frames=30))
    same_times(before, after)
    for old, new in zip(before.luma, after.luma, strict=True):
        assert np.abs(old - new).mean() < 0.5
    cb, cr = after.chroma[15]
    assert cb.mean() > 128 + 15
    assert cr.mean() < 128 - 10


@pytest.mark.parametrize(
    ("name", "audio"),
    [
        ("film.mp4", ("aac", "ac3")),
        ("film.mkv", ("libopus", "libmp3lame", "flac")),
        ("film.mov", ("pcm_s16le",)),
        ("film.avi", ("libmp3lame",)),
    ],
)
def test_an_audio_track_is_bit_identical(make_clip, coloured, tmp_path, name, audio):
    before, after, _ = coloured(make_clip(tmp_path / name, audio=audio, frames=25))
    assert len(after.packets) == 1 + len(audio)
    for index, packets in before.packets.items():
        if index != before.index:
            assert [digest for digest, _ in after.packets[index]] == [d for d, _ in packets]
            times = zip(after.packets[index], packets, strict=True)
            assert max(abs(a - b) for (_, a), (_, b) in times) <= Fraction(1, 1000)
    same_times(before, after)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_subtitles_chapters_languages_names_and_dispositions_are_kept(
    make_clip, coloured, tmp_path, name
):
    def prepare(film):
        film.metadata.update({"title": "A day at the sea", "comment": "reel 3", "artist": "Anna"})
        film.streams.audio[0].metadata["language"] = "fra"
        film.streams.audio[1].disposition = 0
        film.streams.audio[1].metadata["language"] = "deu"
        film.set_chapters(
            [
                {"id": n, "start": n, "end": n + 1, "time_base": Fraction(1, 2)}
                | {"metadata": {"title": f"Part {n}"}}
                for n in (0, 1)
            ]
        )

    clip = make_clip(
        *(tmp_path / name,), audio=("aac", "aac"), subtitles=("deu",), prepare=prepare, frames=25
    )
    before, after, _ = coloured(clip)
    assert after.tracks == before.tracks
    assert after.chapters == before.chapters
    assert len(after.chapters) == 2
    assert before.metadata.items() <= after.metadata.items()
    text = next(index for index, track in enumerate(before.tracks) if track[0] == "subtitle")
    assert after.packets[text] == before.packets[text]


def test_attachments_stay(make_clip, coloured, tmp_path):
    def prepare(film):
        film.add_attachment("note.txt", "text/plain", b"reel 3, found in the attic")

    _, _, target = coloured(make_clip(tmp_path / "film.mkv", prepare=prepare))
    with av.open(str(target)) as film:
        (attached,) = film.streams.attachments
        assert attached.name == "note.txt"
        assert attached.data == b"reel 3, found in the attic"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cover_stays_a_cover(make_clip, coloured, tmp_path, suffix):
    whole = make_clip(tmp_path / "made" / "film.mkv", audio=("aac",))
    cover = make_clip(
        *(tmp_path / "made" / "cover.mkv",), frames=1, codec="mjpeg", pixel_format="yuvj420p"
    )
    clip = tmp_path / "film.mp4"
    with (
        av.open(str(whole)) as film,
        av.open(str(cover)) as picture,
        av.open(str(clip), "w") as target,
    ):
        placed = [target.add_stream_from_template(s, opaque=True) for s in film.streams]
        pinned = target.add_stream_from_template(picture.streams.video[0], opaque=True)
        pinned.disposition = av.stream.Disposition.attached_pic
        target.metadata["title"] = "With a cover"
        packets = [(pinned, p) for p in picture.demux() if p.size]
        packets += [(placed[p.stream_index], p) for p in film.demux() if p.size]
        for stream, packet in packets:
            packet.stream = stream
            target.mux(packet)
    before, after, _ = coloured(clip, "--format", suffix[1:])
    assert [track[0] for track in after.tracks] == ["video", "audio", "video"]
    assert after.tracks[2][3] == int(av.stream.Disposition.attached_pic)
    assert after.packets[2][0][0] == before.packets[2][0][0]
    assert {key.lower(): value for key, value in after.metadata.items()}["title"] == "With a cover"


def test_names_that_players_do_not_know_are_kept(make_clip, coloured, tmp_path):
    def prepare(film):
        film.metadata.update({"title": "A day at the sea", "com.example.reel": "3"})
        film.container_options["movflags"] = "use_metadata_tags"

    before, after, _ = coloured(make_clip(tmp_path / "film.mp4", prepare=prepare))
    assert before.metadata["com.example.reel"] == "3"
    assert before.metadata.items() <= after.metadata.items()


@pytest.mark.parametrize(
    ("name", "times"),
    [
        ("variable.mkv", [0, 40, 41, 200, 233, 266, 900, 901, 902, 1500, 1501, 3000]),
        ("variable.mp4", [0, 40, 41, 200, 233, 266, 900, 901, 902, 1500, 1501, 3000]),
        ("late.mkv", [5000 + 40 * n for n in range(12)]),
    ],
)
def test_a_variable_frame_rate_is_kept_to_the_tick(make_clip, coloured, tmp_path, name, times):
    clip = make_clip(tmp_path / name, times=times, time_base=Fraction(1, 1000))
    before, after, _ = coloured(clip)
    same_times(before, after)


@pytest.mark.parametrize(
    "times",
    [
        [0, 40, 80, 60, 160, 200, 240, 280, 320, 360, 400, 440],
        [0, 40, 80, 80, 80, 200, 240, 280, 320, 360, 400, 440],
        [1000, 1040, 1080, 1120, 1160, 1200, 0, 40, 80, 120, 160, 200],
    ],
    ids=["back", "repeated", "restarted"],
)
def test_times_that_go_back_or_repeat_are_kept_to_the_tick(make_clip, coloured, tmp_path, times):
    ordered = make_clip(tmp_path / "made" / "film.mkv", codec="mjpeg", pixel_format="yuvj420p")
    clip = tmp_path / "film.mkv"
    with av.open(str(ordered)) as source, av.open(str(clip), "w", options={}) as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        packets = [packet for packet in source.demux() if packet.size]
        for packet, time in zip(packets, times, strict=True):
            packet.stream, packet.pts, packet.dts = stream, time, 0
            target.mux(packet)
    before, after, _ = coloured(clip)
    assert [float(t) for t in before.times] == [t / 1000 for t in times]
    same_times(before, after)


def test_ntsc_rates_stay_fractions(make_clip, coloured, tmp_path):
    rate = Fraction(30000, 1001)
    clip = make_clip(tmp_path / "film.mp4", rate=rate, time_base=Fraction(1, 30000))
    before, after, _ = coloured(clip)
    assert before.rate == after.rate == rate
    same_times(before, after)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_kept(make_clip, coloured, tmp_path, degrees):
    clip = make_clip(
        tmp_path / "film.mp4", setup=lambda stream: stream.set_display_rotation(degrees)
    )
    before, after, _ = coloured(clip)
    assert before.rotation % 360 != 0
    assert after.rotation == before.rotation
    assert after.display == before.display


def test_the_shape_of_samples_and_the_tags_of_colour_are_kept(make_clip, coloured, tmp_path):
    def setup(stream):
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(16, 11)
        context.color_range, context.colorspace = 1, 9
        context.color_primaries, context.color_trc = 9, 14

    before, after, _ = coloured(make_clip(tmp_path / "film.mkv", setup=setup))
    assert before.aspect == after.aspect == Fraction(16, 11)
    assert before.colour == after.colour == (1, 9, 9, 14)


@pytest.mark.parametrize("said", [(0, 2, 2, 2), (1, 2, 2, 2), (2, 2, 2, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("codec", ["libsvtav1", "libx265"])
def test_what_a_stream_says_of_its_range_is_kept(make_clip, coloured, tmp_path, said, codec):
    def setup(stream):
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = said

    before, after, _ = coloured(make_clip(tmp_path / "film.mp4", setup=setup, codec=codec))
    assert after.colour == before.colour


def test_interlaced_film_stays_interlaced(make_clip, command, coloured, tmp_path):
    def setup(stream):
        stream.codec_context.flags |= Flags.interlaced_dct
        stream.options = {"x264-params": "tff=1"}

    before, after, _ = coloured(make_clip(tmp_path / "film.mkv", setup=setup))
    assert before.interlaced
    assert after.interlaced
    assert after.field_order == before.field_order


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "yuvj420p"])
def test_depth_chroma_size_and_range_are_kept(make_clip, coloured, tmp_path, pixels):
    before, after, _ = coloured(make_clip(tmp_path / "film.mkv", pixel_format=pixels))
    assert before.format == after.format == pixels
    assert before.colour[0] == after.colour[0]
    assert np.abs(before.luma[5] - after.luma[5]).mean() < 2.0
    middle = 128 << (2 if "10" in pixels else 0)
    assert after.chroma[5][0].mean() > middle


@pytest.mark.parametrize("size", [(65, 49), (63, 48), (17, 33)])
def test_odd_sizes_are_kept(make_clip, coloured, tmp_path, size):
    clip = make_clip(tmp_path / "film.mkv", sizes=(size,), codec="ffv1")
    before, after, _ = coloured(clip)
    assert after.size == before.size == size


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("film.mkv", "libx265", "yuv420p"),
        ("film.mpg", "mpeg2video", "yuv420p"),
        ("film.avi", "mpeg4", "yuv420p"),
        ("film.webm", "libvpx-vp9", "yuv420p"),
        ("film.mp4", "libsvtav1", "yuv420p"),
        ("film.avi", "mjpeg", "yuvj420p"),
        ("film.mov", "prores_ks", "yuv422p10le"),
        ("film.mkv", "ffv1", "gray"),
        ("film.mkv", "ffv1", "bgr0"),
    ],
)
def test_films_of_other_codecs_are_read(make_clip, coloured, tmp_path, name, codec, pixels):
    clip = make_clip(
        *(tmp_path / name,),
        codec=codec,
        pixel_format=pixels,
        sizes=((96, 64),),
        time_base=Fraction(1, 25),
    )
    before, after, target = coloured(clip)
    assert after.codec == "h264"
    assert target.suffix == (clip.suffix if clip.suffix in (".mp4", ".mkv", ".mov") else ".mkv")
    same_times(before, after)


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels", "read_as"),
    [
        ("h264", ".mp4", "yuv420p", "h264"),
        ("h265", ".mp4", "yuv420p", "hevc"),
        ("av1", ".mp4", "yuv420p", "libdav1d"),
        ("prores", ".mov", "yuv422p10le", "prores"),
        ("ffv1", ".mkv", "yuv420p", "ffv1"),
    ],
)
def test_each_codec_is_written(make_clip, flat, command, tmp_path, codec, suffix, pixels, read_as):
    clip = make_clip(tmp_path / "film.mp4", sizes=((96, 64),))
    result = command("run", clip, "-m", flat, "-o", "out", "--codec", codec)
    assert result.returncode == 0, result.stderr
    before, after = look(clip), look((tmp_path / "out" / "film").with_suffix(suffix))
    assert after.codec == read_as
    assert after.format == pixels
    same_times(before, after)
    if codec == "ffv1":
        assert all((a == b).all() for a, b in zip(before.luma, after.luma, strict=True))


def test_a_preview_is_the_beginning_under_a_name_of_its_own(make_clip, flat, command, tmp_path):
    clip = make_clip(tmp_path / "film.mp4", frames=75, audio=("aac",))
    for options, name in ((("--preview", "1s"), "film-preview.mp4"), ((), "film.mp4")):
        result = command("run", clip, "-m", flat, "-o", "out", *options)
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "out" / name).exists()
    whole, part = look(tmp_path / "out" / "film.mp4"), look(tmp_path / "out" / "film-preview.mp4")
    assert part.times == whole.times[:25]
    assert len(whole.times) == 75
    assert part.seconds == pytest.approx(1.0, abs=0.05)
    assert part.packets[1] == whole.packets[1][: len(part.packets[1])]


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_compare_shows_the_grey_source_beside_the_film(make_clip, coloured, tmp_path, pixels):
    clip = make_clip(tmp_path / "film.mkv", pixel_format=pixels, audio=("aac",))
    before, after, target = coloured(clip, "--compare")
    assert target.name == "film-compare.mkv"
    assert after.size == (2 * before.size[0], before.size[1])
    same_times(before, after)
    luma, chroma = after.luma[5], after.chroma[5][0]
    half, middle = luma.shape[1] // 2, 128 << (2 if "10" in pixels else 0)
    assert np.abs(luma[:, :half] - luma[:, half:]).mean() < 1.5
    assert np.abs(luma[:, :half] - before.luma[5]).mean() < 1.5
    grey, colour = np.array_split(chroma, 2, axis=1)
    assert abs(grey[:, :-4].mean() - middle) < 2
    assert colour.mean() > middle + 10
    assert after.packets[1] == before.packets[1]


@pytest.mark.parametrize("value", ["0", "ten", "-3s"])
def test_a_preview_of_no_time_is_refused(make_clip, flat, command, tmp_path, value):
    clip = make_clip(tmp_path / "film.mp4")
    result = command("run", clip, "-m", flat, f"--preview={value}")
    assert result.returncode == 2
    assert "as 10s or 2m" in result.stderr


def test_reordered_frames_with_jittering_times_are_kept_to_the_tick(make_clip, coloured, tmp_path):
    ordered = make_clip(tmp_path / "made" / "film.mkv", frames=40, time_base=Fraction(1, 1000))
    clip = tmp_path / "film.mkv"
    with av.open(str(ordered)) as source, av.open(str(clip), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for index, packet in enumerate(p for p in source.demux() if p.size):
            packet.stream, packet.dts = stream, -1000
            packet.pts += 0 if packet.pts < 80 else (0, 50, -60, 7)[index % 4]
            target.mux(packet)
    before, after, _ = coloured(clip)
    assert before.times != sorted(before.times)
    same_times(before, after)


def test_ten_bits_can_be_asked_for(make_clip, coloured, tmp_path):
    _, after, _ = coloured(make_clip(tmp_path / "film.mkv"), "--bit-depth", "10")
    assert after.format == "yuv420p10le"
