"""Streams and metadata that are copied: audio, subtitles, covers, tags, aspect ratio, rotation."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.codec.context import Flags


@pytest.mark.parametrize(
    ("name", "audio"),
    [
        ("film.mp4", ("aac", "ac3")),
        ("film.mkv", ("libopus", "libmp3lame", "flac")),
        ("film.mov", ("pcm_s16le",)),
        ("film.avi", ("libmp3lame",)),
    ],
)
def test_audio_streams_are_bit_identical(
    make_clip, colour_film, tmp_path, name, audio, assert_same_times
):
    before, after, _ = colour_film(make_clip(tmp_path / name, audio=audio, frames=25))
    assert len(after.packets) == 1 + len(audio)
    for index, packets in before.packets.items():
        if index != before.index:
            assert [digest for digest, _ in after.packets[index]] == [d for d, _ in packets]
            times = zip(after.packets[index], packets, strict=True)
            assert max(abs(a - b) for (_, a), (_, b) in times) <= Fraction(1, 1000)
    if name != "film.avi":  # AVI has no timestamps, and those that FFmpeg estimates decrease
        assert_same_times(before, after)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_subtitles_chapters_tags_and_dispositions_are_kept(make_clip, colour_film, tmp_path, name):
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
    before, after, _ = colour_film(clip)
    assert after.streams == before.streams
    assert after.chapters == before.chapters
    assert len(after.chapters) == 2
    assert before.metadata.items() <= after.metadata.items()
    text = next(index for index, track in enumerate(before.streams) if track[0] == "subtitle")
    assert after.packets[text] == before.packets[text]


def test_attachments_are_kept(make_clip, colour_film, tmp_path):
    def prepare(film):
        film.add_attachment("note.txt", "text/plain", b"reel 3, found in the attic")

    _, _, target = colour_film(make_clip(tmp_path / "film.mkv", prepare=prepare))
    with av.open(str(target)) as film:
        (attached,) = film.streams.attachments
        assert attached.name == "note.txt"
        assert attached.data == b"reel 3, found in the attic"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cover_picture_is_kept(make_clip, colour_film, tmp_path, suffix):
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
    before, after, _ = colour_film(clip, "--format", suffix[1:])
    assert [track[0] for track in after.streams] == ["video", "audio", "video"]
    assert after.streams[2][3] == int(av.stream.Disposition.attached_pic)
    assert after.packets[2][0][0] == before.packets[2][0][0]
    assert {key.lower(): value for key, value in after.metadata.items()}["title"] == "With a cover"


def test_nonstandard_tags_are_kept(make_clip, colour_film, tmp_path):
    def prepare(film):
        film.metadata.update({"title": "A day at the sea", "com.example.reel": "3"})
        film.container_options["movflags"] = "use_metadata_tags"

    before, after, _ = colour_film(make_clip(tmp_path / "film.mp4", prepare=prepare))
    assert before.metadata["com.example.reel"] == "3"
    assert before.metadata.items() <= after.metadata.items()


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_kept(make_clip, colour_film, tmp_path, degrees):
    clip = make_clip(
        tmp_path / "film.mp4", setup=lambda stream: stream.set_display_rotation(degrees)
    )
    before, after, _ = colour_film(clip)
    assert before.rotation % 360 != 0
    assert after.rotation == before.rotation
    assert after.display == before.display


def test_sample_aspect_ratio_and_colour_tags_are_kept(make_clip, colour_film, tmp_path):
    def setup(stream):
        context = stream.codec_context
        context.sample_aspect_ratio = Fraction(16, 11)
        context.color_range, context.colorspace = 1, 9
        context.color_primaries, context.color_trc = 9, 14

    before, after, _ = colour_film(make_clip(tmp_path / "film.mkv", setup=setup))
    assert before.aspect == after.aspect == Fraction(16, 11)
    assert before.colour == after.colour == (1, 9, 9, 14)


@pytest.mark.parametrize("tags", [(0, 2, 2, 2), (1, 2, 2, 2), (2, 2, 2, 2), (1, 1, 1, 1)])
@pytest.mark.parametrize("codec", ["libsvtav1", "libx265"])
def test_colour_range_tags_are_kept(make_clip, colour_film, tmp_path, tags, codec):
    def setup(stream):
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags

    before, after, _ = colour_film(make_clip(tmp_path / "film.mp4", setup=setup, codec=codec))
    assert after.colour == before.colour


def test_field_order_is_kept(make_clip, command, colour_film, tmp_path):
    def setup(stream):
        stream.codec_context.flags |= Flags.interlaced_dct
        stream.options = {"x264-params": "tff=1"}

    before, after, _ = colour_film(make_clip(tmp_path / "film.mkv", setup=setup))
    assert before.interlaced
    assert after.interlaced
    assert after.field_order == before.field_order


def test_timecode_of_a_mov_is_kept(make_clip, colour_film, tmp_path):
    def count(stream):
        stream.metadata["timecode"] = "01:02:03:04"

    clip = make_clip(tmp_path / "edited.mov", setup=count)
    colour_film(clip)
    for place in (clip, tmp_path / "out" / "edited.mov"):
        with av.open(str(place)) as film:
            (code,) = (s for s in film.streams if s.type == "data")
            assert code.metadata["timecode"] == "01:02:03:04"


def test_transport_stream_becomes_mkv(make_clip, command, tmp_path):
    clip = make_clip(tmp_path / "tape.ts", time_base=Fraction(1, 90000))
    made = command("run", clip, "-m", "beta", "--strength", "0", "-o", "out")
    assert made.returncode == 0, made.stderr
    (result,) = (path for path in (tmp_path / "out").iterdir() if path.is_file())
    assert result.name == "tape.mkv"
    assert result.read_bytes()[:4] == b"\x1aE\xdf\xa3"


def test_audio_that_mkv_refuses_is_reported_with_a_container_that_accepts_it(
    make_clip, command, tmp_path
):
    clip = make_clip(tmp_path / "camera.avi", audio=("pcm_mulaw",))
    refused = command("run", clip, "-m", "beta", "-o", "out")
    assert refused.returncode == 3
    assert "--format mov can" in refused.stderr.replace("\n", " ")
    made = command("run", clip, "-m", "beta", "-o", "out", "--format", "mov")
    assert made.returncode == 0, made.stderr


def test_sample_aspect_ratio_of_the_container_overrides_that_of_the_codec(
    make_clip, colour_film, tmp_path
):
    """Remuxers set it only there, and players use it."""

    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)

    clip = make_clip(tmp_path / "film.mp4", setup=setup)
    data = clip.read_bytes()
    document = b"pasp" + struct.pack(">II", 16, 11)
    assert document in data
    clip.write_bytes(data.replace(document, b"pasp" + struct.pack(">II", 4, 3)))
    _, after, _ = colour_film(clip)
    assert after.aspect == Fraction(4, 3)


@pytest.mark.parametrize("codec", ["ffv1", "av1", "prores"])
@pytest.mark.parametrize("title", ["", "The regatta"])
def test_mkv_stores_the_sample_aspect_ratio_for_codecs_without_one(
    make_clip, flat, command, tmp_path, codec, title
):
    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        if title:
            stream.metadata["title"] = title

    clip = make_clip(tmp_path / "film.mkv", sizes=((120, 96),), audio=("flac",), setup=setup)
    made = command("run", clip, "-m", flat, "-o", "out", "--codec", codec, "--format", "mkv")
    assert made.returncode == 0, made.stderr
    packets = []
    for place in (clip, tmp_path / "out" / "film.mkv"):
        with av.open(str(place)) as film:
            picture = film.streams.video[0]
            assert picture.sample_aspect_ratio == Fraction(16, 15)
            assert picture.metadata.get("title", "") == title
            packets.append([bytes(packet) for packet in film.demux(audio=0)])
            film.seek(0)
            assert sum(1 for _ in film.decode(video=0)) == 12
    assert packets[0] == packets[1]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_stream_titles_are_kept(make_clip, colour_film, tmp_path, suffix):
    def title(film):
        for stream, name in zip(film.streams, ("The regatta", "Comment"), strict=True):
            stream.metadata["title"] = name

    clip = make_clip(tmp_path / f"film{suffix}", audio=("aac",), prepare=title)
    _, _, target = colour_film(clip)
    found = []
    for place in (clip, target):
        with av.open(str(place)) as film:
            found.append([s.metadata.get("title") or s.metadata.get("name") for s in film.streams])
    assert found[0] == found[1] == ["The regatta", "Comment"]


def test_suggested_container_accepts_the_codec(make_clip, command, tmp_path):
    clip = make_clip(tmp_path / "camera.avi", audio=("pcm_mulaw",))
    refused = command("run", clip, "-m", "beta", "-o", "out", "--codec", "ffv1")
    assert refused.returncode == 3
    document = refused.stderr.replace("\n", " ")
    assert "mkv cannot hold audio stream 1" in document
    assert "--format" not in document  # ffv1 is written to mkv alone


def test_dropped_transparency_is_reported(make_clip, command, flat, tmp_path):
    clip = make_clip(tmp_path / "title.mov", codec="png", pixel_format="rgba")
    result = command("run", clip, "-m", flat, "-o", "out", "--json")
    assert result.returncode == 0, result.stderr
    assert "transparency dropped" in result.stdout


def test_audio_that_no_container_accepts_becomes_pcm_with_recode_sound(
    make_clip, command, flat, tmp_path
):
    clip = make_clip(
        tmp_path / "home.avi",
        codec="mpeg4",
        frames=50,
        audio=("adpcm_ima_wav",),
        rate=Fraction(25),
        time_base=Fraction(1, 25),
    )
    refused = command("run", clip, "-m", flat, "-o", "out")
    assert refused.returncode == 3
    assert "--recode-sound writes it as PCM" in refused.stderr.replace("\n", " ")
    made = command("run", clip, "-m", flat, "-o", "out", "--recode-sound", "--json")
    assert made.returncode == 0, made.stderr
    assert "audio stream 1 (adpcm_ima_wav) becomes pcm_s16le" in made.stdout
    before, after = (audio_of(path) for path in (clip, tmp_path / "out" / "home.mkv"))
    assert len(before) > 48000
    assert np.array_equal(after, before)


def test_transcoded_audio_shorter_than_the_video_is_complete_and_not_reported_as_damaged(
    make_clip, command, flat, tmp_path
):
    rates = {"rate": Fraction(25), "time_base": Fraction(1, 25)}
    audio_clip = make_clip(tmp_path / "short.avi", codec="mpeg4", audio=("adpcm_ima_wav",), **rates)
    seen = make_clip(tmp_path / "long.avi", codec="mpeg4", frames=100, **rates)
    clip = tmp_path / "home.avi"
    with (
        av.open(str(audio_clip)) as sound,
        av.open(str(seen)) as picture,
        av.open(str(clip), "w") as to,
    ):
        sources = (picture.streams.video[0], sound.streams.audio[0])
        placed = [to.add_stream_from_template(source, opaque=True) for source in sources]
        for source, target, container in zip(sources, placed, (picture, sound), strict=True):
            for packet in container.demux(source):
                if packet.size:
                    packet.stream = target
                    to.mux(packet)
    made = command("run", clip, "-m", flat, "-o", "out", "--recode-sound", "--json")
    assert made.returncode == 0, made.stderr
    assert "damaged" not in made.stdout
    assert np.array_equal(audio_of(tmp_path / "out" / "home.mkv"), audio_of(audio_clip))


def test_supported_audio_is_copied_despite_recode_sound(make_clip, colour_film, tmp_path):
    clip = make_clip(tmp_path / "film.mkv", audio=("libopus",))
    before, after, _ = colour_film(clip, "--recode-sound")
    assert [digest for digest, _ in after.packets[1]] == [d for d, _ in before.packets[1]]


def audio_of(path):
    """Returns all samples of the first audio stream, channels interleaved."""
    parts = []
    with av.open(str(path)) as film:
        for frame in film.decode(audio=0):
            parts.append(frame.to_ndarray().T.reshape(-1))  # interleaved, also if planar
    return np.concatenate(parts)
