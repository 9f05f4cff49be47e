"""`--recode-sound`: audio that no container accepts becomes PCM."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from batchcolor.video.output.pcm_transcoder import PcmTranscoder, read_audio_format


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
    result = command("run", clip, "-m", flat, "-o", "out", "--recode-sound", "--json")
    assert result.returncode == 0, result.stderr
    assert "audio stream 1 (adpcm_ima_wav) becomes pcm_s16le" in result.stdout
    before, after = (audio_of(path) for path in (clip, tmp_path / "out" / "home.mkv"))
    assert len(before) > 48000
    assert np.array_equal(after, before)


def test_transcoded_audio_shorter_than_the_video_is_complete_and_not_reported_as_damaged(
    make_clip, command, flat, tmp_path
):
    rates = {"rate": Fraction(25), "time_base": Fraction(1, 25)}
    audio_clip = make_clip(tmp_path / "short.avi", codec="mpeg4", audio=("adpcm_ima_wav",), **rates)
    silent_clip = make_clip(tmp_path / "long.avi", codec="mpeg4", frames=100, **rates)
    clip = tmp_path / "home.avi"
    with (
        av.open(str(audio_clip)) as sound,
        av.open(str(silent_clip)) as picture,
        av.open(str(clip), "w") as target_film,
    ):
        sources = (picture.streams.video[0], sound.streams.audio[0])
        copied = [target_film.add_stream_from_template(source, opaque=True) for source in sources]
        for source, target, container in zip(sources, copied, (picture, sound), strict=True):
            for packet in container.demux(source):
                if packet.size:
                    packet.stream = target
                    target_film.mux(packet)
    result = command("run", clip, "-m", flat, "-o", "out", "--recode-sound", "--json")
    assert result.returncode == 0, result.stderr
    assert "damaged" not in result.stdout
    assert np.array_equal(audio_of(tmp_path / "out" / "home.mkv"), audio_of(audio_clip))


def test_audio_that_changes_its_layout_is_converted_to_that_of_its_beginning(tmp_path):
    parts = b""
    rate = 48000
    for layout in ("mono", "stereo"):
        path = tmp_path / "part.mp2"
        with av.open(str(path), "w") as part:
            stream = part.add_stream("mp2", rate=rate, layout=layout)
            for number in range(10):
                samples = np.full((1, 1152 * (1 + (layout == "stereo"))), 3000, np.int16)
                frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
                frame.sample_rate, frame.pts = rate, number * 1152
                part.mux(stream.encode(frame))
            part.mux(stream.encode(None))
        parts += path.read_bytes()
    source = tmp_path / "changes.mp2"
    source.write_bytes(parts)
    form = read_audio_format(source, 0)
    assert (form.rate, form.layout) == (48000, "mono")
    with av.open(str(source)) as audio, av.open(str(tmp_path / "out.mov"), "w") as target:
        transcoder = PcmTranscoder(audio.streams.audio[0], target, form)
        for packet in audio.demux():
            target.mux(list(transcoder.convert_packet(packet if packet.size else None)))
    samples = audio_of(tmp_path / "out.mov")
    assert transcoder.damaged_packets <= 2  # where the format changes
    assert len(samples) > 0.85 * 20 * 1152


@pytest.mark.parametrize("name", ["film.mkv", "film.nut"])
def test_audio_that_cannot_be_decoded_is_not_advised_to_be_recoded(
    make_clip, command, flat, tmp_path, name
):
    """A codec that FFmpeg does not know, and ADPCM of which the header states no channels."""
    codec = "aac" if name.endswith("mkv") else "adpcm_ima_wav"
    rates = {"rate": Fraction(25), "time_base": Fraction(1, 25)}
    clip = make_clip(tmp_path / name, codec="mpeg4", audio=(codec,), **rates)
    clip.write_bytes(clip.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    for options in ([], ["--recode-sound"]):
        result = command("run", clip, "-m", flat, "-o", "out", "--json", "--retry-failed", *options)
        assert result.returncode == 3, result.stderr
        (failure,) = json.loads(result.stdout)["failures"]
        assert "--recode-sound" not in failure["reason"]
        assert "-map -0:1" in failure["reason"]


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
