"""`--recode-sound`: audio that no container accepts becomes PCM."""

from fractions import Fraction

import av
import numpy as np


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
