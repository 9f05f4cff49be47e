"""High dynamic range: models see standard range, colours look the same, metadata stays."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from PIL import Image, ImageCms

from batchcolor.color import BT709, BT2020
from batchcolor.video.frame_format import ColorTags, FrameFormat
from batchcolor.video.frame_metadata import read_hdr_metadata
from batchcolor.video.hdr import HLG, PQ, PRIMARY_CONVERSIONS, REFERENCE_WHITE, DynamicRange
from batchcolor.video.planes import read_luma, view_plane, write_chroma

SIDE = 64
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
LIGHT_LEVEL = "1000,400"


def encode_pq(light):
    """Returns PQ signals of light in cd/m2 (SMPTE ST 2084, equation 5.2)."""
    power = (light / 10000) ** (2610 / 16384)
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    return ((c1 + c2 * power) / (1 + c3 * power)) ** (2523 / 32)


def decode_pq(signal):
    root = np.clip(signal, 0, 1) ** (32 / 2523)
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    return 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (16384 / 2610)


def encode_hlg(light):
    """Returns HLG signals of grey of a display of 1000 cd/m2 (ITU-R BT.2100)."""
    scene = (light / 1000) ** (1 / 1.2)
    upper = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), upper)


def decode_hlg(signal):
    upper = (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12
    scene = np.where(signal <= 0.5, signal**2 / 3, upper)
    luminance = np.tensordot([0.2627, 0.678, 0.0593], scene, axes=1)
    return 1000 * np.maximum(luminance, 1e-9) ** 0.2 * scene


ENCODE = {PQ: encode_pq, HLG: encode_hlg}
DECODE = {PQ: decode_pq, HLG: decode_hlg}


def make_picture():
    """Returns grey 0..1 of standard range: a ramp with shapes, black to white."""
    grey = np.tile(np.linspace(0, 1, SIDE), (SIDE, 1))
    grey[20:40, 10:30], grey[45:60, 35:55] = 0.75, 0.2
    return grey


def make_frame(grey, transfer):
    """Returns a frame of 10 bits, 4:4:4, limited range, and its format; 1 is standard range."""
    signal = grey if transfer == 1 else ENCODE[transfer](grey**2.4 * REFERENCE_WHITE)
    frame = av.VideoFrame(SIDE, SIDE, "yuv444p10le")
    view_plane(frame, 0)[...] = np.rint(signal * 876 + 64)
    for index in (1, 2):
        view_plane(frame, index)[...] = 512
    is_standard = transfer == 1
    tags = ColorTags(1, 1, 1, 1) if is_standard else ColorTags(1, 9, 9, transfer)
    matrix = BT709 if is_standard else BT2020
    return frame, FrameFormat(SIDE, SIDE, "yuv444p10le", matrix, tags)


def display(frame, frame_format):
    """Returns the R'G'B' 0..1 that a standard display shows of a frame, highlights clipped."""
    y = (view_plane(frame, 0).astype(float) - 64) / 876
    cb, cr = ((view_plane(frame, index).astype(float) - 512) / 896 for index in (1, 2))
    factors = frame_format.matrix.chroma_factors
    rgb = np.clip(np.stack([y + from_cb * cb + from_cr * cr for from_cb, from_cr in factors]), 0, 1)
    transfer = frame_format.tags.transfer
    if transfer == 1:
        return rgb
    light = DECODE[transfer](rgb) / REFERENCE_WHITE
    linear = np.tensordot(np.linalg.inv(PRIMARY_CONVERSIONS[9]), light, axes=1)
    return np.clip(linear, 0, 1) ** (1 / 2.4)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_model_sees_the_luma_of_the_standard_version(transfer):
    grey = make_picture()
    standard = read_luma(*make_frame(grey, 1), SIDE)
    high = read_luma(*make_frame(grey, transfer), SIDE)
    below_knee = grey < 0.9
    assert np.abs(high - standard)[below_knee].max() < 3 / 255
    assert np.abs(high - standard)[below_knee].mean() < 0.8 / 255
    assert high[~below_knee].min() > 0.88


def test_tone_curve_rises_from_black_to_the_peak():
    for transfer in (PQ, HLG):
        mapped = DynamicRange(transfer, 9).tone_map(np.linspace(0, 1, 1000))
        assert (np.diff(mapped) >= -1e-12).all()
        assert (mapped[0], round(float(mapped[-1]), 6)) == (0, 1)


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("chroma", [(0.05, -0.04), (-0.1, 0.12), (0.15, 0.02)])
def test_colours_look_as_those_of_the_standard_version(transfer, chroma):
    grey = make_picture()
    field = np.empty((2, 16, 16), np.float32)
    field[0], field[1] = chroma
    field *= np.linspace(0.2, 1, 16, dtype=np.float32)
    shown, before = [], []
    for kind in (1, transfer):
        frame, frame_format = make_frame(grey, kind)
        before.append(view_plane(frame, 0).copy())
        shown.append(display(write_chroma(frame, field, frame_format, 1.0), frame_format))
        assert np.array_equal(view_plane(frame, 0), before[-1])
    is_usual = (grey > 0.15) & (grey < 0.85)
    difference = np.abs(shown[1] - shown[0])[:, is_usual] * 255
    assert np.ptp(shown[0], axis=0)[is_usual].max() * 255 > 20
    assert difference.mean() < 2.5
    assert np.percentile(difference, 95) < 8


def write_hdr10(path):
    with av.open(str(path), "w") as film:
        parameters = f"log-level=none:hdr10=1:master-display={MASTERING}:max-cll={LIGHT_LEVEL}"
        stream = film.add_stream("libx265", rate=25, options={"x265-params": parameters})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_range, context.colorspace = 1, 9
        context.color_primaries, context.color_trc = 9, PQ
        frame = av.VideoFrame(64, 64, "yuv420p10le")
        for index, level in enumerate((500, 512, 512)):
            view_plane(frame, index)[...] = level
        for number in range(3):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


def read_first(path):
    with av.open(str(path)) as film:
        return next(film.decode(video=0))


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "ffv1"])
def test_transfer_and_mastering_metadata_stay(command, flat, tmp_path, codec):
    write_hdr10(tmp_path / "film.mp4")
    before = read_first(tmp_path / "film.mp4")
    result = command("run", "film.mp4", "-m", flat, "-o", "out", "--codec", codec)
    assert result.returncode == 0, result.stderr
    (target,) = (tmp_path / "out").glob("film.*")
    after = read_first(target)
    assert (after.color_trc, after.color_primaries, after.colorspace) == (PQ, 9, 9)
    assert "HDR (PQ): tone-mapped for the model" in result.stderr
    if codec == "ffv1":
        assert "HDR mastering metadata dropped: ffv1 is written without it" in result.stderr
        return
    assert read_hdr_metadata(after).light_level == (1000, 400)
    for kept, own in zip(
        read_hdr_metadata(after).mastering, read_hdr_metadata(before).mastering, strict=True
    ):
        assert float(kept) == pytest.approx(float(own), rel=1e-2, abs=2e-4)


def test_timecode_of_mpeg_groups_is_kept(command, flat, tmp_path):
    with av.open(str(tmp_path / "film.mpg"), "w") as film:
        options = {"gop_timecode": "01:02:03:04"}
        stream = film.add_stream("mpeg2video", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((72, 64), 128, np.uint8), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    assert command("run", "film.mpg", "-m", flat, "-o", "out").returncode == 0
    with av.open(str(tmp_path / "out" / "film.mkv")) as film:
        assert film.streams.video[0].metadata["TIMECODE"] == "01:02:03:04"


def read_png_chunks(path):
    data, place, chunks = path.read_bytes(), 8, {}
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.setdefault(data[place + 4 : place + 8].decode(), data[place + 8 : place + 8 + size])
        place += 12 + size
    return chunks


@pytest.mark.parametrize("options", [["--to-frames"], ["--codec", "apng"]])
def test_pictures_in_png_state_transfer_and_mastering_metadata(command, flat, tmp_path, options):
    write_hdr10(tmp_path / "film.mp4")
    result = command("run", "film.mp4", "-m", flat, "-o", "out", *options)
    assert result.returncode == 0, result.stderr
    picture = sorted((tmp_path / "out").rglob("*.png"))[0]
    chunks = read_png_chunks(picture)
    assert list(chunks).index("cICP") < list(chunks).index("IDAT")
    assert tuple(chunks["cICP"]) == (9, PQ, 0, 1)
    own = read_hdr_metadata(read_first(tmp_path / "film.mp4"))
    *points, highest, lowest = struct.unpack(">8H2I", chunks["mDCV"])
    assert [point / 50000 for point in points] == pytest.approx(list(map(float, own.mastering[:8])))
    assert [lowest / 1e4, highest / 1e4] == pytest.approx(list(map(float, own.mastering[8:])))
    assert struct.unpack(">2I", chunks["cLLI"]) == (1000 * 10000, 400 * 10000)


def test_film_of_pictures_that_state_their_transfer_is_hdr(command, flat, tmp_path):
    write_hdr10(tmp_path / "film.mp4")
    result = command("run", "film.mp4", "-m", flat, "-o", "out", "--to-frames")
    assert result.returncode == 0, result.stderr
    (tmp_path / "out" / "film-frames").rename(tmp_path / "frames")
    words = ("run", "frames", "-m", flat, "-o", "again", "--frames", "--codec", "h265")
    result = command(*words, "--include-results", "--if-colored", "recolor")
    assert result.returncode == 0, result.stderr
    assert "HDR (PQ): tone-mapped for the model" in result.stderr
    first = read_first(tmp_path / "again" / "frames.mp4")
    assert (first.colorspace, first.color_primaries, first.color_trc) == (9, 9, PQ)
    own = read_hdr_metadata(read_first(tmp_path / "film.mp4"))
    assert read_hdr_metadata(first) == own


@pytest.mark.parametrize("tags", [(9, 9, 14), (1, 12, 13)])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_pictures_state_wide_primaries_and_a_film_of_them_does(
    make_clip, command, flat, tmp_path, tags, kind
):
    """Matrix, primaries, transfer: BT.2020 and Display P3 of standard range."""

    def setup(stream):
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc = tags

    make_clip(tmp_path / "film.mp4", frames=3, setup=setup)
    result = command("run", "film.mp4", "-m", flat, "-o", "out", "--to-frames", "--format", kind)
    assert result.returncode == 0, result.stderr
    (tmp_path / "out" / "film-frames").rename(tmp_path / "frames")
    picture = sorted((tmp_path / "frames").iterdir())[0]
    if kind == "png":
        assert tuple(read_png_chunks(picture)["cICP"]) == (*tags[1:], 0, 1)
    with Image.open(picture) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"])).profile
    stated = {9: (0.708, 0.292), 12: (0.680, 0.320)}[tags[1]]
    assert measure_red(profile) == pytest.approx(stated, abs=0.002)
    words = ("run", "frames", "-m", flat, "-o", "again", "--frames")
    result = command(*words, "--include-results", "--if-colored", "recolor")
    assert result.returncode == 0, result.stderr
    first = read_first(tmp_path / "again" / "frames.mp4")
    assert (first.color_primaries, first.color_trc) == tags[1:]


def measure_red(profile):
    """Returns x and y of the red of a profile, adapted from D50 back to D65."""
    to_d65 = [[0.9555, -0.0231, 0.0633], [-0.0283, 1.0099, 0.0210], [0.0123, -0.0205, 1.3304]]
    red = np.array(to_d65) @ profile.red_colorant[0]
    return tuple(red[:2] / red.sum())


def test_primaries_that_a_format_of_pictures_does_not_state_are_noted(
    make_clip, command, flat, tmp_path
):
    def setup(stream):
        stream.codec_context.color_primaries = 12

    make_clip(tmp_path / "film.mp4", frames=2, setup=setup)
    words = ("run", "film.mp4", "-m", flat, "-o", "out", "--to-frames", "--format", "bmp")
    assert "bmp does not state Display P3" in command(*words).stderr


def test_pictures_that_do_not_state_the_transfer_are_noted(command, flat, tmp_path):
    write_hdr10(tmp_path / "film.mp4")
    words = ("run", "film.mp4", "-m", flat, "-o", "out", "--to-frames", "--format", "jpeg")
    result = command(*words)
    assert result.returncode == 0, result.stderr
    assert "jpeg does not state PQ" in result.stderr


def write_elementary(path, message):
    """Writes H.264 with a message (SEI) before every slice."""
    with av.open(str(path), "w", format="h264") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    first, *units = path.read_bytes().split(b"\0\0\1")
    added = [
        (b"\0\0\1\x06" + message if unit[0] in SLICES else b"") + b"\0\0\1" + unit for unit in units
    ]
    path.write_bytes(first + b"".join(added))


AMBIENT = bytes((148, 8)) + (314000).to_bytes(4, "big") + bytes.fromhex("3d134042") + b"\x80"
CAPTIONS = bytes((4, 14)) + bytes.fromhex("b50031474139340341fffc9420ff") + b"\x80"
ACTIVE_FORMAT = bytes((4, 9)) + bytes.fromhex("b500314454473141f8") + b"\x80"
PAN_SCAN = bytes((2, 6)) + bytes.fromhex("a00a000140ea80")
"""Not cancelled, one rectangle."""
CANCELLED_PAN_SCAN = bytes((2, 1, 0b11_100000, 0x80))
HDR10_PLUS = bytes.fromhex("0416b5003c0001040140000c8007d007d002ee00c8000500") + b"\x80"
DOLBY_VISION = bytes.fromhex("7c0119080940") + bytes(range(1, 30)) + b"\x80"
SLICES = (0x65, 0x41, 0x01, 0x61, 0x21)
"""First bytes of slices that x264 writes."""


@pytest.mark.parametrize(
    ("message", "note"),
    [
        (AMBIENT, "ambient viewing environment dropped"),
        (ACTIVE_FORMAT, "active format description dropped"),
        (PAN_SCAN, "pan-scan rectangle dropped"),
    ],
)
def test_dropped_messages_of_frames_are_noted(command, flat, tmp_path, message, note):
    write_elementary(tmp_path / "film.h264", message)
    result = command("run", "film.h264", "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    assert note in result.stderr


def test_cancelled_pan_scan_is_not_noted(command, flat, tmp_path):
    write_elementary(tmp_path / "film.h264", CANCELLED_PAN_SCAN)
    result = command("run", "film.h264", "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    assert "pan-scan" not in result.stderr


@pytest.mark.parametrize(
    ("unit", "note"),
    [
        (b"\x4e\x01" + PAN_SCAN, "pan-scan rectangle dropped"),
        (b"\x4e\x01" + HDR10_PLUS, "HDR10+ metadata dropped"),
        (DOLBY_VISION, "Dolby Vision metadata dropped"),
    ],
)
@pytest.mark.parametrize("name", ["film.hevc", "film.mp4"])
def test_dropped_units_of_h265_are_noted(command, flat, tmp_path, unit, note, name):
    with av.open(str(tmp_path / name), "w") as film:
        options = {"x265-params": "log-level=none:bframes=0:repeat-headers=1"}
        stream = film.add_stream("libx265", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            data = bytes(packet)
            place = len(data)
            if unit[0] == 0x4E:  # a message comes before the slice
                place = data.index(b"\0\0\1\x28")
            changed = av.Packet(data[:place] + b"\0\0\1" + unit + data[place:])
            changed.stream, changed.time_base = stream, packet.time_base
            changed.pts, changed.dts = packet.pts, packet.dts
            film.mux(changed)
    result = command("run", name, "-m", flat, "-o", "out")
    assert result.returncode == 0, result.stderr
    assert note in result.stderr


def test_closed_captions_stay_in_h264(command, flat, tmp_path):
    write_elementary(tmp_path / "film.h264", CAPTIONS)
    before = read_first(tmp_path / "film.h264").side_data.get(Type.A53_CC)
    assert before is not None
    assert command("run", "film.h264", "-m", flat, "-o", "out").returncode == 0
    after = read_first(tmp_path / "out" / "film.mkv").side_data.get(Type.A53_CC)
    assert bytes(after) == bytes(before)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_shown_colours_are_the_tone_curve_for_grey_and_keep_their_hue(transfer):
    film = DynamicRange(transfer, 9)
    grey = np.linspace(0.02, 1, 50)
    shown = film.show(np.repeat(grey[:, None], 3, axis=1))
    assert np.abs(shown - film.tone_map(grey)[:, None]).max() < 0.02
    red = film.show(np.array([[0.5, 0.3, 0.3], [0.9, 0.4, 0.4]]))
    assert (red[:, 0] > red[:, 1] + 0.1).all()
    assert red.max() <= 1
