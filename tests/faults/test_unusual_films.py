"""Films without decodable video, with several sizes or streams, and internal errors on films."""

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext


def failure(document):
    """Returns step and reason of the only failure of a report."""
    (only,) = document["failures"]
    return only["step"], only["reason"]


def write_audio_only(path, make_clip):
    whole = make_clip(path.with_name("whole.mkv"), audio=("aac",))
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0], opaque=True)
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    whole.unlink()


def write_cover_only(path, make_clip):
    whole = make_clip(
        path.with_name("whole.mkv"), audio=("aac",), codec="mjpeg", pixel_format="yuvj420p"
    )
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        cover = target.add_stream_from_template(source.streams.video[0], opaque=True)
        cover.disposition = av.stream.Disposition.attached_pic
        audio = target.add_stream_from_template(source.streams.audio[0], opaque=True)
        first = True
        for packet in source.demux():
            if packet.size and (packet.stream.type == "audio" or first):
                first = first and packet.stream.type == "audio"
                packet.stream = audio if packet.stream.type == "audio" else cover
                target.mux(packet)
    whole.unlink()


def write_undecodable(path, make_clip):
    make_clip(path, frames=5)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - start)
    path.write_bytes(data)


def write_random_bytes(path, make_clip):
    path.write_bytes(b"\0\0\0\x20ftypisom" + bytes(range(256)) * 8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (write_audio_only, "no video stream, only audio"),
        (write_cover_only, "only a cover picture"),
        (write_undecodable, "no frame can be decoded"),
        (write_random_bytes, "cannot be read"),
    ],
    ids=["audio only", "cover only", "no frames", "random bytes"],
)
def test_file_without_decodable_video_fails_and_writes_nothing(
    report, make_clip, tmp_path, make, message
):
    (tmp_path / "films").mkdir()
    make(tmp_path / "films" / "film.mp4", make_clip)
    code, document = report(tmp_path / "films")
    assert code == 3
    step, reason = failure(document)
    assert step == "decode"
    assert message in reason
    assert not (tmp_path / "out").exists()


def test_second_video_stream_is_copied(report, make_clip, tmp_path):
    def setup(stream):
        stream.disposition = av.stream.Disposition.default if stream.width == 128 else 0

    clip = make_clip(tmp_path / "film.mp4", sizes=((64, 48), (128, 96)), setup=setup)
    code, document = report(clip)
    assert code == 0
    assert any("2 video streams: 1 is coloured, 0 not" in note for note in document["notes"])
    with av.open(str(clip)) as before, av.open(str(tmp_path / "out" / "film.mp4")) as after:
        copied, source = ([bytes(p) for p in film.demux(video=0)] for film in (after, before))
    assert copied == source


def test_frames_are_scaled_to_the_initial_size_if_it_changes(
    report, make_clip, tmp_path, frames_of
):
    parts = [
        make_clip(
            tmp_path / "parts" / f"{n}.mkv", codec="mjpeg", pixel_format="yuvj420p", sizes=(s,)
        )
        for n, s in enumerate([(64, 48), (96, 80)])
    ]
    clip = tmp_path / "film.mkv"
    with (
        av.open(str(clip), "w") as target,
        av.open(str(parts[0])) as first,
        av.open(str(parts[1])) as second,
    ):
        stream = target.add_stream_from_template(first.streams.video[0], opaque=True)
        for offset, source in ((0, first), (480, second)):
            for packet in source.demux():
                if packet.size:
                    packet.stream = stream
                    packet.pts += offset
                    packet.dts = packet.pts
                    target.mux(packet)
    code, document = report(clip)
    assert code == 0, document
    assert any("size changes" in note for note in document["notes"])
    with av.open(str(tmp_path / "out" / "film.mkv")) as film:
        assert {(f.width, f.height) for f in film.decode(video=0)} == {(64, 48)}
    assert len(frames_of(tmp_path / "out" / "film.mkv")) == 24


def test_stream_that_the_container_cannot_hold_is_reported_with_a_container_that_can(
    report, make_clip, tmp_path, temporaries
):
    clip, target = make_clip(tmp_path / "film.mkv", subtitles=("deu",)), "mp4"
    code, document = report(clip, "--format", target, "--dry-run")
    assert code == 0
    assert "--format mkv can" in document["planned"][0]["reason"]
    code, document = report(clip, "--format", target)
    assert code == 3
    step, reason = failure(document)
    assert step == "plan"
    assert "subtitle stream 1" in reason
    assert "--format mkv" in reason
    assert document["frames"] == 0
    assert not temporaries(tmp_path / "out")


def test_films_and_photographs_are_coloured_in_one_job(report, make_clip, album, tmp_path):
    folder = album(5)
    for index in range(3):
        make_clip(folder / f"film-{index}.mp4", frames=10)
    (folder / "unreadable.mkv").write_bytes(b"rubbish")
    code, document = report(folder, "--format", "png")
    assert code == 3
    assert document["done"] == 8
    assert document["frames"] == 30
    names = {
        p.suffix for p in (tmp_path / "out").rglob("*") if p.is_file() and ".batch" not in str(p)
    }
    assert names == {".png", ".mp4"}


@pytest.mark.parametrize("error", [AttributeError, ValueError, TypeError])
@pytest.mark.parametrize(
    "function",
    [
        "batchcolor.pipeline.films.frame_decoding.read_luma",
        "batchcolor.pipeline.films.frame_encoding.write_chroma",
        "batchcolor.video.input.decoder.fit_frame",
        "batchcolor.video.output.muxer.compute_decoding_timestamps",
    ],
)
def test_error_in_own_code_is_an_internal_error_and_not_a_damaged_film(
    flat, command, make_clip, tmp_path, monkeypatch, function, error
):
    def fail(*arguments, **more):
        raise error("an error in batchcolor")

    clip = make_clip(tmp_path / "film.mp4")
    monkeypatch.setattr(function, fail)
    result = command("run", clip, "-m", flat, "-o", "out")
    assert result.returncode == 1, result.stderr
    assert "internal error" in result.stderr
    assert "damaged" not in result.stderr
    assert not (tmp_path / "out" / "film.mp4").exists()


def test_change_of_the_pixel_format_is_noted(make_clip, command, flat, tmp_path):
    parts = [
        make_clip(tmp_path / f"{name}.h264", pixel_format=name, frames=5).read_bytes()
        for name in ("yuv420p", "yuv420p10le")
    ]
    (tmp_path / "film.h264").write_bytes(b"".join(parts))
    result = command("run", "film.h264", "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    note = "pixel format changes from yuv420p to yuv420p10le; frames are converted to yuv420p"
    assert note in result.stderr
    with av.open(str(tmp_path / "out" / "film.mkv")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 10


def test_columns_that_the_film_crops_at_the_left_are_not_shown(make_clip, command, flat, tmp_path):
    """FFmpeg crops as many columns at the left as alignment permits, unless it is asked for all."""
    clip = make_clip(tmp_path / "whole.mkv", sizes=((160, 96),), frames=5)
    crop = "h264_metadata=crop_left=16:crop_right=6"
    with (
        av.open(str(clip)) as source,
        av.open(str(tmp_path / "film.h264"), "w", format="h264") as target,
    ):
        video = source.streams.video[0]
        filtered = BitStreamFilterContext(f"h264_mp4toannexb,{crop}", video)
        stream = target.add_stream_from_template(video)
        for packet in source.demux(video):
            for out in filtered.filter(packet if packet.size else None):
                out.stream = stream
                target.mux(out)
    result = command("run", "film.h264", "-m", flat, "-o", "out", "--codec", "ffv1")
    assert result.returncode == 0, result.stderr
    shown = []
    for path in (clip, tmp_path / "out" / "film.mkv"):
        with av.open(str(path)) as film:
            shown.append(next(film.decode(video=0)).reformat(format="gray").to_ndarray())
    assert shown[1].shape == (96, 138)
    assert np.array_equal(shown[0][:, 16:154], shown[1])
