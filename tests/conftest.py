"""Fixtures of all tests: plugins, commands, processes, a browser."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import py_compile
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchcolor.cli.app import main
from batchcolor.hooks.manager import clear_plugin_cache
from batchcolor.video.output import segments
from batchcolor.video.output.thread_scheduling import keep_scheduling

from .grey_media import grey_picture, make_clip

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


@pytest.fixture(autouse=True)
def ordinary_scheduling() -> Iterator[None]:
    """Undoes the real-time priority that SVT-AV1 gives a test that encodes with it."""
    with keep_scheduling():
        yield


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
        # Tests compare what a command leaves behind: it must not be the first to compile this.
        py_compile.compile(str(module))
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
