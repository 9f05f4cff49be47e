"""Streams and metadata that are copied: audio, subtitles, covers, attachments, tags, timecodes."""

from fractions import Fraction

import av
import pytest


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
    whole = make_clip(tmp_path / "parts" / "film.mkv", audio=("aac",))
    cover = make_clip(
        *(tmp_path / "parts" / "cover.mkv",), frames=1, codec="mjpeg", pixel_format="yuvj420p"
    )
    clip = tmp_path / "film.mp4"
    with (
        av.open(str(whole)) as film,
        av.open(str(cover)) as picture,
        av.open(str(clip), "w") as target,
    ):
        copied = [target.add_stream_from_template(s, opaque=True) for s in film.streams]
        cover_stream = target.add_stream_from_template(picture.streams.video[0], opaque=True)
        cover_stream.disposition = av.stream.Disposition.attached_pic
        target.metadata["title"] = "With a cover"
        packets = [(cover_stream, p) for p in picture.demux() if p.size]
        packets += [(copied[p.stream_index], p) for p in film.demux() if p.size]
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


def test_timecode_of_a_mov_is_kept(make_clip, colour_film, tmp_path):
    def count(stream):
        stream.metadata["timecode"] = "01:02:03:04"

    clip = make_clip(tmp_path / "edited.mov", setup=count)
    colour_film(clip)
    for place in (clip, tmp_path / "out" / "edited.mov"):
        with av.open(str(place)) as film:
            (code,) = (s for s in film.streams if s.type == "data")
            assert code.metadata["timecode"] == "01:02:03:04"


@pytest.mark.parametrize("options", [(), ("--format", "mkv")])
def test_timecode_of_an_mp4_is_kept_without_a_note(make_clip, command, flat, tmp_path, options):
    def count(stream):
        stream.metadata["timecode"] = "01:00:00:00"

    clip = make_clip(tmp_path / "edited.mp4", setup=count)
    result = command("run", clip, "-m", flat, "-o", "out", *options)
    assert "dropped" not in result.stderr
    (target,) = (tmp_path / "out").glob("edited.*")
    with av.open(str(target)) as film:
        assert (
            film.streams.video[0].metadata["timecode" if target.suffix == ".mp4" else "TIMECODE"]
            == "01:00:00:00"
        )


@pytest.mark.parametrize(
    ("sample", "text", "is_styled"),
    [
        (b"\0\x06Stra\xc3\x9f", "Straß", False),
        (b"\0\x0cGood morning" + b"\0\0\0\x0cstyl\0\0\0\0", "Good morning", True),
        (b"\0\x06\xfe\xff\x04\x1e\x04\x3d", "Он", False),
    ],
)
def test_timed_text_becomes_subrip_in_mkv(
    make_clip, command, flat, tmp_path, sample, text, is_styled
):
    clip = make_clip(tmp_path / "film.mp4", subtitles=("deu",), frames=25)
    with av.open(str(clip)) as source, av.open(str(tmp_path / "in.mp4"), "w") as film:
        targets = {s.index: film.add_stream_from_template(s, opaque=True) for s in source.streams}
        targets[1].metadata["language"] = "deu"
        for packet in source.demux():
            if packet.size:
                if packet.stream.type == "subtitle" and bytes(packet) != b"\0\0":
                    changed = av.Packet(sample)
                    changed.pts, changed.dts = packet.pts, packet.dts
                    changed.duration, changed.time_base = packet.duration, packet.time_base
                    changed.stream = targets[packet.stream_index]
                    packet = changed
                else:
                    packet.stream = targets[packet.stream_index]
                film.mux(packet)
    result = command("run", "in.mp4", "-m", flat, "-o", "out", "--format", "mkv")
    assert result.returncode == 0, result.stderr
    assert "subtitle stream 1 (mov_text) becomes SubRip" in result.stderr
    assert ("its styles are dropped" in result.stderr) == is_styled
    with av.open(str(tmp_path / "out" / "in.mkv")) as film:
        stream = film.streams.subtitles[0]
        assert stream.codec_context.name in ("srt", "subrip")
        assert stream.metadata["language"] == "deu"
        (packet,) = (p for p in film.demux(stream) if p.size)
        assert bytes(packet).decode() == text
        assert packet.pts * packet.time_base == Fraction(80, 1000)
        assert packet.duration * packet.time_base == Fraction(120, 1000)


def test_transport_stream_becomes_mkv(make_clip, command, tmp_path):
    clip = make_clip(tmp_path / "tape.ts", time_base=Fraction(1, 90000))
    result = command("run", clip, "-m", "beta", "--strength", "0", "-o", "out")
    assert result.returncode == 0, result.stderr
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
    result = command("run", clip, "-m", "beta", "-o", "out", "--format", "mov")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_stream_titles_are_kept(make_clip, colour_film, tmp_path, suffix):
    def title(film):
        for stream, name in zip(film.streams, ("The regatta", "Comment"), strict=True):
            stream.metadata["title"] = name

    clip = make_clip(tmp_path / f"film{suffix}", audio=("aac",), prepare=title)
    _, _, target = colour_film(clip)
    titles = []
    for place in (clip, target):
        with av.open(str(place)) as film:
            titles.append([s.metadata.get("title") or s.metadata.get("name") for s in film.streams])
    assert titles[0] == titles[1] == ["The regatta", "Comment"]


def test_suggested_container_accepts_the_codec(make_clip, command, tmp_path):
    clip = make_clip(tmp_path / "camera.avi", audio=("pcm_mulaw",))
    refused = command("run", clip, "-m", "beta", "-o", "out", "--codec", "ffv1")
    assert refused.returncode == 3
    document = refused.stderr.replace("\n", " ")
    assert "mkv cannot hold audio stream 1" in document
    assert "--format" not in document  # of those for ffv1, only mkv holds such audio


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_empty_streams_are_kept_or_reported(make_clip, flat, command, tmp_path, container):
    clip = make_clip(tmp_path / "film.mkv", frames=10)
    empty = tmp_path / "empty.mkv"
    with av.open(str(clip)) as film, av.open(str(empty), "w") as target:
        streams = [target.add_stream_from_template(film.streams.video[0]) for _ in range(2)]
        target.add_stream("aac", rate=48000, layout="mono")
        for packet in film.demux(video=0):
            if packet.size:
                packet.stream = streams[0]
                target.mux(packet)
    result = command("run", empty, "-m", flat, "-o", "out", "--format", container)
    assert result.returncode == 0, result.stderr
    text = " ".join((result.stdout + result.stderr).split())
    with av.open(str(tmp_path / "out" / f"empty.{container}")) as film:
        kept = [stream.type for stream in film.streams]
    assert kept == (["video", "video", "audio"] if container == "mkv" else ["video"])
    for note in ("video stream 1 is empty: dropped", "audio stream 2 is empty: dropped"):
        assert (note in text) == (container == "mp4")
    assert "2 video streams: 0 is coloured, 1 not" in text
    assert "copied" not in text


@pytest.mark.parametrize(("options", "is_noted"), [((), False), (("--format", "mkv"), True)])
def test_priming_of_aac_before_zero_is_noted_in_mkv(
    make_clip, command, flat, tmp_path, options, is_noted
):
    make_clip(tmp_path / "film.mp4", audio=("aac",), frames=25)
    result = command("run", "film.mp4", "-m", flat, "-o", "out", *options)
    assert result.returncode == 0, result.stderr
    note = "audio stream 1 starts 0.021 s before zero: kept with its time"
    assert (note in " ".join(result.stderr.split())) == is_noted
