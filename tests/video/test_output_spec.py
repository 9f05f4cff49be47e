"""How a film is written, decided from its source, the settings and the container."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from batchcolor.color import BT601, BT709
from batchcolor.images.formats import GIF, JPEG, MKV, MOV, MP4, PNG, TIFF
from batchcolor.video.frame_format import FULL_RANGE, LIMITED_RANGE, ColorTags, FrameFormat
from batchcolor.video.output.codecs import VideoSettings
from batchcolor.video.output.output_spec import resolve_output_spec
from batchcolor.video.source_info import SourceInfo

LIMITED, FULL = ColorTags(range=LIMITED_RANGE, matrix=1), ColorTags(range=FULL_RANGE, matrix=6)
FILM = FrameFormat(64, 48, "yuv420p", BT709, LIMITED, sample_aspect_ratio=Fraction(16, 15))
ANIMATION = FrameFormat(64, 48, "yuva444p", BT601, FULL)


def make_source(frame_format, **properties):
    return SourceInfo(
        *(Path("film.mkv"), 0, frame_format, Fraction(25), Fraction(1, 12800)), **properties
    )


@pytest.mark.parametrize(
    ("changes", "settings", "container", "pixel_format", "notes"),
    [
        ({}, {}, MP4, "yuv420p", ()),
        ({"pixel_format": "yuv422p10le"}, {}, MKV, "yuv422p10le", ()),
        ({"width": 63}, {}, MP4, "yuv444p", ("yuv420p becomes yuv444p",)),
        ({"width": 63}, {"codec": "ffv1"}, MKV, "yuv420p", ()),
        ({}, {"bit_depth": 10}, MP4, "yuv420p10le", ("yuv420p becomes yuv420p10le",)),
        ({}, {"codec": "prores"}, MOV, "yuv422p10le", ("yuv420p becomes yuv422p10le",)),
        ({"pixel_format": "yuv444p10le"}, {"codec": "av1"}, MP4, "yuv420p10le", ("yuv444p10le",)),
        ({}, {"codec": "gif"}, GIF, "yuv444p", ("yuv420p becomes yuv444p",)),
    ],
)
def test_pixel_format_is_the_nearest_that_the_encoder_accepts(
    changes, settings, container, pixel_format, notes
):
    source = make_source(replace(FILM, **changes))
    output = resolve_output_spec(source, VideoSettings(**settings), container)
    assert output.frame_format == replace(source.frame_format, pixel_format=pixel_format)
    assert len(output.notes) == len(notes)
    assert all(note.startswith(start) for note, start in zip(output.notes, notes, strict=True))
    assert (output.rate, output.time_base) == (source.rate, source.time_base)
    assert output.container == container


@pytest.mark.parametrize(
    ("rotation", "size"), [(0, (128, 48)), (90, (64, 96)), (180, (128, 48)), (270, (64, 96))]
)
def test_comparison_is_twice_as_wide_after_rotation(rotation, size):
    source = make_source(replace(FILM, rotation=rotation))
    output = resolve_output_spec(source, VideoSettings(compare=True), MP4)
    assert (output.width, output.height) == size
    assert (output.frame_format.width, output.frame_format.height) == (64, 48)


def test_transparent_gif_becomes_a_film_at_limited_range():
    output = resolve_output_spec(make_source(ANIMATION), VideoSettings(), MP4)
    assert output.frame_format.pixel_format == "yuv420p"
    assert output.frame_format.tags == replace(FULL, range=LIMITED_RANGE)
    assert not output.frame_format.is_full_range
    assert output.notes == ("transparent areas become black",)


def test_gif_keeps_transparency_range_and_loop_count():
    source = make_source(ANIMATION, loop=3)
    output = resolve_output_spec(source, VideoSettings("gif"), GIF)
    assert output.frame_format == ANIMATION
    assert (output.loop, output.notes) == (3, ())


@pytest.mark.parametrize(
    ("frame_format", "kind", "pixel_format", "notes"),
    [
        (FILM, PNG, "yuv444p", 0),
        (FILM, JPEG, "yuv420p", 0),
        (replace(FILM, pixel_format="yuv422p10le"), TIFF, "yuv444p10le", 0),
        (replace(FILM, pixel_format="yuv422p10le"), JPEG, "yuv420p", 1),
        (ANIMATION, PNG, "yuva444p", 0),
        (ANIMATION, JPEG, "yuv420p", 1),
    ],
)
def test_frames_to_frames_have_the_matrix_and_depth_of_pictures(
    frame_format, kind, pixel_format, notes
):
    source = make_source(frame_format, is_image_sequence=True)
    output = resolve_output_spec(source, VideoSettings(to_frames=True), kind)
    assert output.frame_format == replace(frame_format, pixel_format=pixel_format, matrix=BT601)
    assert len(output.notes) == notes


def test_skipped_streams_are_noted_unless_their_note_is_empty():
    skippable = {2: "", 3: "data stream 3 dropped"}
    output = resolve_output_spec(make_source(FILM), VideoSettings(), MP4, skippable)
    assert output.skipped_streams == (2, 3)
    assert output.notes == ("data stream 3 dropped",)
