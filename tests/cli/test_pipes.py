"""`run - -o -`: uncompressed films (YUV4MPEG2) from standard input to standard output."""

import io
import signal
import subprocess
import sys

import av
import numpy as np
import pytest

from batchcolor.errors import UsageError
from batchcolor.hooks.manager import load_plugins
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.pipeline.piped.pipe_job import run_pipe
from batchcolor.storage.standard_input import StandardInput

WIDTH, HEIGHT = 32, 24
PLANES = {
    "420jpeg": [(1, 1), (2, 2), (2, 2)],
    "420paldv": [(1, 1), (2, 2), (2, 2)],
    "422": [(1, 1), (2, 1), (2, 1)],
    "411": [(1, 1), (4, 1), (4, 1)],
    "444": [(1, 1)] * 3,
    "mono": [(1, 1)],
    "420p10": [(1, 1), (2, 2), (2, 2)],
    "422p12": [(1, 1), (2, 1), (2, 1)],
    "444p16": [(1, 1)] * 3,
    "mono10": [(1, 1)],
}
"""Divisors of width and height of the planes, by the name of a pixel format."""


def bits_of(chroma):
    return int(chroma[-2:]) if chroma.endswith(("p10", "p12", "p16", "mono10")) else 8


def make_frames(chroma, count=5):
    """Planes of moving frames, of `chroma`."""
    bits, frames = bits_of(chroma), []
    for number in range(count):
        ramp = np.linspace(0.2, 0.8, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
        grey = (np.roll(ramp, number, axis=1) * (2**bits - 1)).astype("<u2" if bits > 8 else "u1")
        planes = [np.full_like(grey, 1 << bits - 1)[::y, ::x] for x, y in PLANES[chroma]]
        frames.append([grey, *planes[1:]])
    return frames


def write_y4m(chroma, frames, more="F25:1 Ip A1:1"):
    body = b"".join(b"FRAME\n" + b"".join(p.tobytes() for p in frame) for frame in frames)
    return f"YUV4MPEG2 W{WIDTH} H{HEIGHT} {more} C{chroma}\n".encode() + body


def read_y4m(data):
    """Tags and planes of a stream, read without FFmpeg."""
    line, _, rest = data.partition(b"\n")
    magic, *tags = line.decode().split()
    assert magic == "YUV4MPEG2"
    (chroma,) = [tag[1:] for tag in tags if tag[0] == "C"]
    (width,), (height,) = ([int(tag[1:]) for tag in tags if tag[0] == name] for name in "WH")
    kind, frames = np.dtype("<u2" if bits_of(chroma) > 8 else "u1"), []
    while rest:
        assert rest.startswith(b"FRAME\n")
        rest, planes = rest[6:], []
        for x, y in PLANES[chroma]:
            shape = (height // y, width // x)
            size = shape[0] * shape[1] * kind.itemsize
            planes.append(np.frombuffer(rest[:size], kind).reshape(shape))
            rest = rest[size:]
        frames.append(planes)
    return tags, chroma, frames


@pytest.fixture
def run_piped(flat):
    """Colours a stream in this process; returns the report and the result."""

    def run(data, *, source="-", **options):
        output = io.BytesIO()
        values = {"model": flat, "sources": (str(source),), "output": "-", **options}
        piped = StandardInput(io.BytesIO(data)) if source == "-" else None
        report = run_pipe(RunSettings(**values), load_plugins(), lambda _: None, piped, output)
        return report, output.getvalue()

    return run


@pytest.mark.parametrize("chroma", PLANES)
@pytest.mark.parametrize("stabilize", ["fast"])
def test_frames_keep_luma_depth_and_chroma_format_and_get_colours(run_piped, chroma, stabilize):
    frames = make_frames(chroma)
    report, result = run_piped(write_y4m(chroma, frames), stabilize=stabilize)
    assert (report.exit_code, report.done, report.frames) == (0, 1, 5), report
    tags, found, after = read_y4m(result)
    wanted = {"mono": "420jpeg", "mono10": "420p10"}.get(chroma, chroma)
    assert found == wanted
    assert {"F25:1", "Ip", "A1:1"} <= set(tags)
    assert len(after) == len(frames)
    for (grey, *_), (luma, cb, cr) in zip(frames, after, strict=True):
        assert np.array_equal(grey, luma)
        assert cb.mean() != cr.mean()


@pytest.mark.parametrize("tag", ["It A16:15 XCOLORRANGE=FULL", "Ib A0:0 XCOLORRANGE=LIMITED"])
def test_tags_of_fields_aspect_and_range_are_those_of_the_source(run_piped, tag):
    _, result = run_piped(write_y4m("420jpeg", make_frames("420jpeg"), f"F30000:1001 {tag}"))
    assert {"F30000:1001", *tag.split()} <= set(read_y4m(result)[0])


def make_ffv1(path, frames):
    with av.open(str(path), "w") as film:
        stream = film.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, planes in enumerate(frames):
            packed = np.concatenate([plane.ravel() for plane in planes])
            shape = (HEIGHT * 3 // 2, WIDTH)
            frame = av.VideoFrame.from_ndarray(packed.reshape(shape), "yuv420p")
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("options", [{}, {"every": 4}, {"compare": True}, {"stabilize": "off"}])
def test_colours_are_those_of_a_film_file(run_piped, command, flat, tmp_path, options):
    """The frames of a pipe, of a film to a pipe, and of a lossless result are equal."""
    frames = make_frames("420jpeg", 40)
    film = make_ffv1(tmp_path / "film.mkv", frames)
    _, piped = run_piped(write_y4m("420jpeg", frames), **options)
    _, from_file = run_piped(b"", source=film, **options)
    assert piped.partition(b"\n")[2] == from_file.partition(b"\n")[2]
    flags = {"every": ["--every", "4"], "compare": ["--compare"], "stabilize": ["--stabilize=off"]}
    words = [word for name in options for word in flags[name]]
    assert command("run", film, "-m", flat, "-o", "out", "--codec", "ffv1", *words).returncode == 0
    (target,) = (tmp_path / "out").glob("*.mkv")
    with av.open(str(target)) as result:
        stored = [frame.to_ndarray().tobytes() for frame in result.decode(video=0)]
    assert stored == [b"".join(p.tobytes() for p in frame) for frame in read_y4m(piped)[2]]


@pytest.mark.parametrize("cut", [1, 700, WIDTH * HEIGHT * 3 // 2 - 1])
def test_stream_that_ends_within_a_frame_is_a_failure_and_the_frames_before_are_written(
    run_piped, cut
):
    data = write_y4m("420jpeg", make_frames("420jpeg"))
    report, result = run_piped(data[:-cut])
    assert (report.exit_code, report.failed) == (3, 1)
    assert "ends within a frame" in report.failures[0].reason
    assert len(read_y4m(result)[2]) == 4


@pytest.mark.parametrize("data", [b"YUV4MPEG2 W0 H0\n", b"YUV4MPEG2 W32 H24 F25:1 C420jpeg\n"])
def test_stream_without_frames_is_a_failure(run_piped, data):
    report, result = run_piped(data)
    assert (report.exit_code, result) == (3, b"")


def test_stabilizer_that_needs_more_frames_than_memory_holds_is_refused(run_piped):
    data = write_y4m("420jpeg", make_frames("420jpeg"), "F25:1")
    wide = data.replace(b"W32 H24", b"W3200 H2400", 1) + bytes(3200 * 2400 * 2)
    with pytest.raises(UsageError, match=r"--stabilize best.*--max-memory"):
        run_piped(wide, stabilize="best", max_memory="64M")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"crf": 12}, "--crf has no effect"),
        ({"strip": True}, "--strip has no effect"),
        ({"preview": "2s"}, "--preview has no effect"),
        ({"sources": ("-", "film.mp4")}, "one film"),
    ],
)
def test_options_without_effect_on_a_pipe_are_refused(run_piped, options, expected):
    with pytest.raises(UsageError, match=expected):
        run_piped(write_y4m("420jpeg", make_frames("420jpeg")), **options)


def start(environment, tmp_path, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "batchcolor", "run", *arguments],
        env=environment,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_film_of_a_process_goes_through_and_nothing_else_is_on_standard_output(
    flat, plugin, environment, tmp_path
):
    noisy = """
        import batchcolor, os

        @batchcolor.hookimpl
        def batchcolor_chroma(chroma, luma, picture):
            print("hello")
            os.write(1, b"hello")
            return chroma
    """
    plugin("noisypack", noisy)
    job = start(environment, tmp_path, "-", "-o", "-", "-m", flat)
    result, errors = job.communicate(write_y4m("420jpeg", make_frames("420jpeg", 30)), timeout=300)
    assert job.returncode == 0, errors
    assert len(read_y4m(result)[2]) == 30
    assert b"1 coloured" in errors


def test_reader_that_ends_early_ends_the_job_without_an_error(flat, environment, tmp_path):
    make_ffv1(tmp_path / "film.mkv", make_frames("420jpeg", 400))
    job = start(environment, tmp_path, "film.mkv", "-o", "-", "-m", flat)
    job.stdout.read(2000)
    job.stdout.close()
    assert b"reader of the pipe ended" in job.stderr.read()
    assert job.wait(300) == 0


def test_signal_ends_a_job_whose_source_is_silent(flat, environment, tmp_path, default_signals):
    job = start(environment, tmp_path, "-", "-o", "-", "-m", flat, "--stabilize", "off")
    job.stdin.write(write_y4m("420jpeg", make_frames("420jpeg", 50)))
    job.stdin.flush()
    assert job.stdout.read(100)  # it is at work
    job.send_signal(signal.SIGINT)
    result, errors = job.stdout.read(), job.stderr.read()
    assert job.wait(300) == 130, errors
    assert b"cannot be resumed" in errors
    assert result


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-"], "its result goes to a pipe too"),
        (["-", "-o", "out"], "its result goes to a pipe too"),
        (["-", "-o", "-", "--dry-run"], "--dry-run does not go"),
    ],
)
def test_commands_that_do_not_fit_a_film_on_standard_input_are_refused(
    command, flat, tmp_path, monkeypatch, arguments, expected
):
    data = write_y4m("420jpeg", make_frames("420jpeg"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    result = command("run", *arguments, "-m", flat)
    assert result.returncode == 2
    assert expected in " ".join(result.stderr.split())
