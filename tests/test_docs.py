"""The documentation says what the code does, and its examples run."""

from __future__ import annotations

import dataclasses
import gzip
import inspect
import json
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import batchcolor
from batchcolor.cli.app import build_app
from batchcolor.cli.option_table import render_options
from batchcolor.errors import ExitCode
from batchcolor.hooks import hookspecs, types
from batchcolor.hooks.manager import DISABLE
from batchcolor.hooks.types import ColorizerSpec, Outcome, Reader, ReadImage, Recipe
from batchcolor.inference.weights import WEIGHTS_VARIABLE
from batchcolor.storage.journal import JournalEntry

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
PAGES += sorted((ROOT / "plugins").glob("*/README.md"))
GUIDE, PLUGINS = DOCS / "user-guide.md", DOCS / "plugin-guide.md"
OPTIONS, SCRIPTING, API = DOCS / "options.md", DOCS / "scripting.md", DOCS / "python-api.md"
OF_OTHERS = {
    *("--nproc-per-node", "--standalone", "--nnodes", "--rdzv-backend", "--rdzv-endpoint"),
    *("--index-url", "--head", "--address"),
    *("--array", "--gpus", "--cpus-per-task", "--requeue", "--sshlogin"),
    *("--plot", "--fit", "--side", "--clusters", "--per-cluster", "--folder", "--steps"),
    *("--dist", "--max-worker-restart"),
    *("--bare", "--depth", "--known"),
}
"""Options of other programs and of the benchmarks that the pages mention."""

Command = Callable[..., subprocess.CompletedProcess[str]]


def blocks(page: Path, mark: str) -> list[str]:
    """Fenced blocks whose opening line has this mark after the language."""
    pattern = rf"^```\w+ {re.escape(mark)}\n(.*?)^```$"
    return re.findall(pattern, page.read_text(), flags=re.MULTILINE | re.DOTALL)


def commands() -> dict[str, Any]:
    """The sub-commands of `batchcolor`, as they are parsed."""
    group: Any = typer.main.get_command(build_app(with_plugins=False))
    return {"": group, **group.commands}


def option_names() -> list[tuple[str, str]]:
    return [
        (name, option)
        for name, command in commands().items()
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("-")
    ]


def hooks() -> list[Any]:
    found = [item for item in vars(hookspecs).values() if hasattr(item, "batchcolor_spec")]
    assert len(found) >= 5
    return found


@pytest.mark.parametrize(("command", "option"), option_names())
def test_the_documentation_names_every_option(command: str, option: str) -> None:
    section = OPTIONS.read_text().partition(f"## {command or 'batchcolor'}\n")[2]
    assert re.search(rf"`{option}[` ]", section.partition("\n## ")[0]), f"{option} of {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_an_option_that_is_not_there(page: Path) -> None:
    known = {option for _, option in option_names()} | OF_OTHERS | {"--help", "-h"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text()))
    assert named <= known


@pytest.mark.parametrize("name", [name for name in commands() if name])
def test_the_user_guide_names_every_command(name: str) -> None:
    assert f"batchcolor {name}" in GUIDE.read_text()


@pytest.mark.parametrize("code", ExitCode)
def test_the_scripting_page_lists_every_exit_code(code: ExitCode) -> None:
    assert re.search(rf"^\| {int(code)} \| \w", SCRIPTING.read_text(), re.MULTILINE)


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: hook.__name__)
def test_the_plugin_guide_names_every_hook_with_its_arguments(hook: Any) -> None:
    arguments = ", ".join(inspect.signature(hook).parameters)
    assert f"### `{hook.__name__}({arguments})`" in PLUGINS.read_text()


@pytest.mark.parametrize(
    "kind", [ColorizerSpec, Recipe, Reader, ReadImage, Outcome], ids=lambda k: k.__name__
)
def test_the_plugin_guide_names_every_field_of_the_contract(kind: type[Any]) -> None:
    text = PLUGINS.read_text()
    section = text[text.index(kind.__name__) :]
    for item in dataclasses.fields(kind):
        assert re.search(rf"\b{item.name}\b", section), f"{kind.__name__}.{item.name}"


@pytest.mark.parametrize("name", [n for n in vars(types) if n in batchcolor.__all__])
def test_the_plugin_guide_names_every_type_of_the_contract(name: str) -> None:
    assert f"`{name}`" in PLUGINS.read_text() or f"batchcolor.{name}`" in PLUGINS.read_text()


@pytest.mark.parametrize("variable", [WEIGHTS_VARIABLE, DISABLE])
def test_the_scripting_page_lists_every_environment_variable(variable: str) -> None:
    assert f"`{variable}`" in SCRIPTING.read_text()


def test_the_reliability_page_names_every_key_of_the_journal() -> None:
    text = (DOCS / "reliability.md").read_text()
    for item in dataclasses.fields(JournalEntry):
        assert f"`{item.name}`" in text, item.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_has_a_target(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_heading_has_a_target(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*\.md|)#([^)]+)\)", page.read_text()):
        text = (page.parent / target if target else page).read_text()
        headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        assert anchor in map(make_anchor, headings), f"{target}#{anchor}"


def make_anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.slow
@pytest.mark.parametrize("code", blocks(API, "runnable"))
def test_a_runnable_example_runs(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=DeprecationWarning, module="__main__")
        exec(compile(code, "<example>", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == ""  # the example for failures names none


def test_the_pasted_model_of_20_lines_works(
    tmp_path: Path, site: Path, command: Command, environment: dict[str, str]
) -> None:
    pasted = tmp_path / "pasted"
    pasted.mkdir()
    for name in ("pyproject.toml", "batchcolor_dusk.py"):
        (code,) = blocks(PLUGINS, f"file={name}")
        (pasted / name).write_text(code)
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 20
    install = "pip install -q --no-deps --no-index --no-build-isolation --target"
    subprocess.run([sys.executable, "-m", *install.split(), site, pasted], check=True)

    shutil.copytree(ROOT / "samples" / "photos", tmp_path / "photos")
    done = command("run", "photos", "--model", "dusk", "--set", "warmth=0.1", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["done"], report["failed"]) == (10, 0)
    (dusk,) = [
        row for row in json.loads(command("models", "--json").stdout) if row["name"] == "dusk"
    ]
    assert dusk["package"] == "batchcolor-dusk 1.0"
    assert [option["key"] for option in dusk["options"]] == ["warmth"]


def test_the_examples_of_the_hooks_do_what_they_say(
    tmp_path: Path, plugin: Callable[..., Path], command: Command
) -> None:
    examples = blocks(PLUGINS, "hook")
    assert len(examples) == len(hooks()) - 1  # the 20 lines are the example of the first one
    head = "import gzip\nimport numpy as np\nfrom PIL import Image\nimport batchcolor\n"
    head += "import batchcolor.hooks.hookspecs\n"
    plugin("examples", head + "\n".join(examples))

    assert command("greet", "you").stdout == "hello you\n"
    (tmp_path / "box").mkdir()
    photograph = (ROOT / "samples" / "photos" / "photographer.png").read_bytes()
    (tmp_path / "box" / "photographer.gz").write_bytes(gzip.compress(photograph))
    shutil.copy(ROOT / "samples" / "photos" / "cat.webp", tmp_path / "box")
    done = command("run", "box")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "box-colorized" / "photographer.png").is_file()
    assert (tmp_path / "finished.txt").read_text().count("done ") == 2


def test_the_option_page_is_the_generated_one() -> None:
    assert OPTIONS.read_text() == render_options()


def list_codec_rows() -> list[tuple[str, str, str]]:
    """Name, containers and bits of each codec, from the code and the encoders of FFmpeg."""
    import av

    from batchcolor.video.frame_format import BIT_DEPTHS
    from batchcolor.video.output.codecs import CODECS

    rows = []
    for codec in CODECS:
        depths = {8}
        if codec.is_animation:
            depths = set(BIT_DEPTHS)
        elif codec.max_bits > 8:
            offered = av.Codec(codec.encoder, "w").video_formats or ()
            depths = {int(depth[1]) for f in offered if (depth := re.search(r"p(\d+)le$", f.name))}
            depths |= {8 for f in offered if re.fullmatch(r"yuv4\d\dp", f.name)}
        bits = [str(bits) for bits in BIT_DEPTHS if bits in depths and bits <= codec.max_bits]
        containers = ", ".join(container.name for container in codec.containers)
        rows.append((codec.name, containers, ", ".join(bits)))
    return rows


def test_the_table_of_film_codecs_is_that_of_the_code() -> None:
    text = (DOCS / "films.md").read_text()
    pattern = r"^\| `(\w+)` \| ([\w, ]+) \| ([\d, ]+) \|"
    assert sorted(re.findall(pattern, text, re.MULTILINE)) == sorted(list_codec_rows())
