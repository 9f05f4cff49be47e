"""Fixtures of all tests: plugins, commands, processes, pictures and films."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from batchcolor.cli.app import main
from batchcolor.hooks.manager import clear_plugin_cache
from batchcolor.video.output import segments

IS_ONE_OF_SEVERAL = "PYTEST_XDIST_WORKER" in os.environ
"""Whether `pytest -n` runs the tests in several processes."""
if IS_ONE_OF_SEVERAL:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # of torch: the processes share the cores

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
CHROMIUM_FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1280,860"
)

FLAT = """
    import batchcolor

    class Flat:
        def __call__(self, luma):
            import torch
            chroma = torch.full((len(luma), 2, 4, 4), 0.1, dtype=luma.dtype, device=luma.device)
            chroma[:, 1] = -0.05 - 0.1 * luma.mean(dim=(1, 2, 3))[:, None, None]
            return chroma

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("flat", "one colour", 16, lambda options: Flat())]
"""
"""The colorizer of most tests: one colour, no weights."""

GATE = """
    import os, time

    calls = 0

    def pass_gate():
        # Blocks after GATE_AFTER calls until the file GATE_FILE exists.
        global calls
        calls += 1
        limit = int(os.environ.get("GATE_AFTER", "0"))
        while limit and calls > limit and not os.path.exists(os.environ["GATE_FILE"]):
            time.sleep(0.01)
"""
"""For colorizers of jobs that a test interrupts: a job waits at a known frame."""

GATED_FILM = (
    GATE
    + """
    import batchcolor

    def gated(luma):
        pass_gate()
        return (luma[:, :, ::4, ::4] - 0.5).mul(0.4).expand(-1, 2, 4, 4)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("gated-film", "can wait", 16, lambda options: gated)]
"""
)

SHORT_SEGMENTS = """
    import batchcolor.video.output.segments

    batchcolor.video.output.segments.SEGMENT_FRAMES = 25
"""
"""Stores a segment every 25 frames, so that films of tests are short."""


@pytest.fixture(autouse=True, scope="session")
def user_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps exported models of all tests in one folder that is not the user's own.

    The processes of `pytest -n` share it: an export takes several seconds.
    """
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if IS_ONE_OF_SEVERAL else folder) / "user-cache"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCHCOLOR_CACHE", str(folder))
        yield


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Makes a folder on the module path of tests and of the processes that they start."""
    folder = tmp_path / "site"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def plugin(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs a plugin package: a module and its dist-info with the entry point."""
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, code: str, version: str = "1.0") -> Path:
        module = site / f"{name.replace('-', '_')}.py"
        module.write_text(textwrap.dedent(code))
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        entry = f"[batchcolor]\n{name} = {module.stem}\n"
        (info / "entry_points.txt").write_text(entry)
        sys.modules.pop(module.stem, None)
        clear_plugin_cache()
        return module

    yield install
    clear_plugin_cache()


@pytest.fixture
def flat(plugin: Callable[..., Path]) -> str:
    """Installs a colorizer without weights, and returns its name."""
    plugin("flatpack", FLAT)
    return "flat"


@pytest.fixture
def environment(site: Path) -> dict[str, str]:
    """Returns the environment of processes: the tests' plugins on the path, plain output."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "NO_COLOR": "1"}


@pytest.fixture
def command(
    site: Path,
    environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `batchcolor ...` in this process, which takes less time than `process`."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        words = [os.fspath(_word(argument)) for argument in arguments]
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            patch.syspath_prepend(str(site))
            for name, value in {**environment, **more}.items():
                patch.setenv(name, value)
            importlib.invalidate_caches()
            clear_plugin_cache()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(words)
            clear_plugin_cache()
        return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())

    return run


@pytest.fixture
def process(
    environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `batchcolor ...` as a process of its own."""

    def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "batchcolor", *map(os.fspath, map(_word, arguments))],
            env={**environment, **more},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def _word(argument: object) -> str:
    return argument if isinstance(argument, str) else str(argument)


@pytest.fixture
def default_signals() -> Iterator[None]:
    """Sets the signal handlers of a process in the foreground, which started processes inherit.

    Some signals are ignored where pytest runs in the background or by `nohup`.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    former = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.fixture
def started(default_signals: None) -> Iterator[list[subprocess.Popen[str]]]:
    """Collects the processes that a test starts, and kills them at its end."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def gate_code() -> str:
    """Code that defines `pass_gate()` in the colorizer of a test."""
    return GATE


@pytest.fixture
def start_film(
    plugin: Callable[..., Path],
    environment: dict[str, str],
    tmp_path: Path,
    started: list[subprocess.Popen[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., subprocess.Popen[str]]:
    """Starts a job on a film with segments of 25 frames, and waits until one segment is stored.

    The colorizer then blocks after `calls` calls until the file `gate` in `tmp_path` exists. The
    default is enough frames for one segment without stabilization and with `fast`, and too few for
    two; `best` stores one as early if a shot ends there.
    """
    plugin("gatedfilmpack", GATED_FILM)
    plugin("shortsegments", SHORT_SEGMENTS)
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", 25)

    def run(
        clip: Path, out: Path, *options: str, model: str = "gated-film", calls: int = 49
    ) -> subprocess.Popen[str]:
        python = [sys.executable, "-X", "faulthandler", "-m", "batchcolor"]
        words = [*python, "run", clip, "-m", model, "-o", out]
        gate = {"GATE_AFTER": str(calls), "GATE_FILE": str(tmp_path / "gate")}
        process = subprocess.Popen(
            [*map(str, words), "--batch-size", "1", *options],
            env={**environment, **gate},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        end = time.monotonic() + 300
        while not list((out / ".batchcolor" / "films").glob("*/state.json")):
            assert process.poll() is None, process.communicate()
            if time.monotonic() > end:
                process.send_signal(signal.SIGABRT)  # prints where each thread is
                pytest.fail(f"no segment was stored: {process.communicate()[1]}")
            time.sleep(0.02)
        return process

    return run


def grey_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """Makes a grey picture of broad shapes with grain."""
    generator = np.random.default_rng(seed)
    shapes = generator.integers(0, 256, (6, 6), dtype=np.uint8)
    broad = np.asarray(Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC))
    grain = generator.normal(0, 6, (height, width))
    return Image.fromarray(np.clip(broad + grain, 0, 255).astype(np.uint8))


@pytest.fixture(name="grey_picture")
def grey_picture_fixture() -> Callable[..., Image.Image]:
    """Gives `grey_picture` to tests."""
    return grey_picture


@pytest.fixture
def album(tmp_path: Path) -> Callable[[int], Path]:
    """Makes a folder tree with a number of grey JPEGs."""

    def make(count: int, width: int = 96, height: int = 64) -> Path:
        folder = tmp_path / "album"
        for index in range(count):
            place = folder / ("" if index % 2 else "1931 summer")
            place.mkdir(parents=True, exist_ok=True)
            grey_picture(width, height, index).save(place / f"{index:03d}.jpg", quality=92)
        return folder

    return make


@pytest.fixture
def shared_data() -> Path:
    """Returns the folder of photographs that are not part of the project, or skips the test."""
    if not SHARED.is_dir():
        pytest.skip("the evaluation photographs are not on this machine")
    return SHARED


def grey_frame(
    index: int, width: int, height: int, pixel_format: str, *, is_negative: bool = False
) -> av.VideoFrame:
    """Makes a grey frame of a film: a bright square that moves back and forth over broad shapes."""
    luma = np.asarray(grey_picture(width, height, 7)).astype(np.uint16) // 2 + 16
    way = max(1, width - 12)
    left = way - abs(way - 3 * index % (2 * way))
    luma[height // 3 : height // 3 + 12, left : left + 12] = 220
    if is_negative:
        luma = 251 - luma
    frame = av.VideoFrame(width, height, pixel_format)
    bits = frame.format.components[0].bits
    for number, plane in enumerate(frame.planes):
        buffer: Any = plane
        rows = np.frombuffer(buffer, "<u2" if bits > 8 else "u1").reshape(plane.height, -1)
        rows[:] = 128 << (bits - 8)
        if number == 0:
            rows[:, :width] = luma << (bits - 8)
    return frame


def make_clip(
    path: Path,
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    frames: int = 12,
    cut: int | None = None,
    sizes: tuple[tuple[int, int], ...] = ((64, 48),),
    rate: Fraction = Fraction(25),
    time_base: Fraction = Fraction(1, 12800),
    times: list[int] | None = None,
    audio: tuple[str, ...] = (),
    subtitles: tuple[str, ...] = (),
    muxer: dict[str, str] | None = None,
    setup: Callable[[Any], None] = lambda stream: None,
    prepare: Callable[[Any], None] = lambda film: None,
) -> Path:
    """A short grey film with a video stream of each of `sizes`; `times` are frames' ticks.

    Frame `cut` starts a second shot, the negative of the first. `audio` are encoders, `subtitles`
    languages, `muxer` the container's options; `setup` is given each video stream, `prepare` the
    container before its header is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=muxer or {}) as film:
        pictures: list[Any] = []
        for width, height in sizes:
            stream: Any = film.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
            stream.codec_context.time_base = stream.time_base = time_base
            stream.codec_context.thread_count = 1  # with more threads, x264 writes other frames
            setup(stream)
            pictures.append(stream)
        sounds: list[Any] = [film.add_stream(name, rate=48000) for name in audio]
        texts: list[Any] = [
            film.add_mux_stream("subrip" if path.suffix == ".mkv" else "mov_text", metadata={})
            for _ in subtitles
        ]
        for text, language in zip(texts, subtitles, strict=True):
            text.time_base = Fraction(1, 1000)
            text.metadata["language"] = language
        prepare(film)
        step = round(1 / (rate * time_base))
        for index in range(frames):
            for stream in pictures:
                is_second = cut is not None and index >= cut
                size = (stream.width, stream.height)
                frame = grey_frame(index, *size, pixel_format, is_negative=is_second)
                frame.pts, frame.time_base = (times[index] if times else index * step), time_base
                film.mux(stream.encode(frame))
        for stream in pictures:
            film.mux(stream.encode(None))
        for sound in sounds:
            _put_sound(film, sound, float(frames / rate))
        for text in texts:
            words = b"Good morning"
            packet: Any = av.Packet(words if path.suffix == ".mkv" else b"\0\x0c" + words)
            packet.stream, packet.time_base = text, Fraction(1, 1000)
            packet.pts = packet.dts = 80
            packet.duration = 120
            film.mux(packet)
    return path


def _put_sound(film: Any, stream: Any, seconds: float) -> None:
    context = stream.codec_context
    context.open(strict=False)
    size = context.frame_size or 1024
    for start in range(0, int(seconds * 48000), size):
        wave = np.sin(np.arange(start, start + size) * 0.05).astype(np.float32) * 0.3
        layout, kind = context.layout.name, context.format.name
        channels = len(context.layout.channels)
        samples = np.tile(wave, (channels, 1))
        if not kind.startswith("flt"):
            deep = kind.startswith("s32")
            samples = (samples * (2**31 if deep else 2**15)).astype("i4" if deep else "i2")
        if not kind.endswith("p"):
            samples = np.ascontiguousarray(samples.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(samples, format=kind, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        film.mux(stream.encode(frame))
    film.mux(stream.encode(None))


@pytest.fixture(name="make_clip")
def make_clip_fixture() -> Callable[..., Path]:
    """Gives `make_clip` to tests."""
    return make_clip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Drives Chromium through selenium, with logs of its console and of its requests."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver_path):
        pytest.skip("chromium and chromedriver are not on PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    for flag in [*CHROMIUM_FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=driver_path)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()
