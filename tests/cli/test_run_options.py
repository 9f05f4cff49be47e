"""Options of `batchcolor run`: help, suggestions, completion and the configuration file."""

import json
import subprocess
import sys

import pytest

from batchcolor.pipeline.options.arguments import RunArguments
from batchcolor.pipeline.options.settings import RunSettings


def planned(result):
    return json.loads(result.stdout)["planned"]


def test_help_groups_options_by_panel_with_examples_and_no_colour(command):
    shown = command("run", "--help", COLUMNS="80").stdout
    headings = [line for line in shown.splitlines() if line and line[0].isupper()]
    assert headings[1:] == ["Where:", "Colour:", "Films:", "Machine:", "Output:", "Other:"]
    assert shown.count("  batchcolor run ") == 6
    assert max(map(len, shown.splitlines())) <= 80
    assert "\x1b" not in shown


def test_the_command_list_shows_whole_summaries_at_80_columns(command):
    shown = command("--help", COLUMNS="80").stdout
    assert "..." not in shown.partition("Commands:")[2]
    assert max(map(len, shown.splitlines())) <= 80


def test_help_does_not_import_torch_or_pyav():
    code = (
        "import sys; from batchcolor.cli.app import main; main(['run', '--help']); "
        "assert not {'torch', 'av', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["--vividness", "1"], "write --set vividness=1"),
        (["--vividness=0.5"], "write --set vividness=0.5"),
        (["--vividness"], "write --set vividness=VALUE"),
        (["--strenght", "1"], "did you mean --strength?"),
        (["--retry-faild"], "did you mean --retry-failed?"),
    ],
)
def test_an_unknown_option_suggests_a_near_one(command, arguments, suggestion):
    result = command("run", "album", *arguments)
    assert result.returncode == 2
    assert suggestion in result.stderr


@pytest.mark.parametrize("option", ["--colour", "--wxyz", "--out-of-reach"])
def test_an_unknown_option_that_is_not_near_suggests_nothing(command, option):
    result = command("run", "album", option)
    assert result.returncode == 2
    assert "did you mean" not in result.stderr
    assert "--set" not in result.stderr


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("--model al", "alpha"),
        ("--codec pro", "prores"),
        ("--format ti", "tiff"),
        ("--set viv", "vividness="),
        ("--stabilize b", "best"),
    ],
)
def test_completion_offers_values(command, message, value):
    result = command(
        _BATCHCOLOR_COMPLETE="complete_bash",
        COMP_WORDS=f"batchcolor run {message}",
        COMP_CWORD="3",
    )
    assert value in result.stdout.split()


def test_a_configuration_file_in_the_source_folder_is_used_and_named(command, flat, album):
    source = album(1)
    (source / "batchcolor.toml").write_text(f'model = "{flat}"\nformat = "png"\noutput = "../o"\n')
    result = command("run", source, "--dry-run", "--json")
    assert [row["target"] for row in planned(result)] == [str(source / "../o/1931 summer/000.png")]
    assert f"options from {source / 'batchcolor.toml'}" in result.stderr


def test_the_command_line_wins_over_the_configuration_file(command, flat, album, tmp_path):
    source = album(1)
    config = tmp_path / "other.toml"
    config.write_text('model = "no-such-model"\nformat = "png"\nmax-memory = 512\n')
    result = command(
        *("run", source, "--config", config, "-m", flat, "--format", "webp"),
        *("--dry-run", "--json"),
    )
    assert result.returncode == 0, result.stderr
    assert planned(result)[0]["target"].endswith(".webp")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max-memroy = 3", "there is no option max-memroy; did you mean max-memory?"),
        ("qzxy = 3", "there is no option qzxy"),
        ("sources = ['a']", "there is no option sources"),
        ("strength = 5", "--strength 5: a number from 0 to 2"),
        ("strength = true", "strength = true: a number from 0 to 2"),
        ("strict = 1", "strict = 1: true or false"),
        ("every = 1.5", "--every 1.5: a number from 1 to 12"),
        ("if-exists = 'ask'", "--if-exists ask: skip, overwrite, error"),
        ("max-memory = 'lots'", "--max-memory lots"),
        ("set = 'vividness=1'", "set is a table"),
        ("codec = ['h264']", "codec is a value"),
        ("report = 3", "report is a path"),
        ("strength = ", "not a TOML file"),
        ("\udcff", "not a TOML file"),
    ],
)
def test_a_wrong_configuration_file_is_refused_in_one_line(command, tmp_path, text, message):
    path = tmp_path / "batchcolor.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    result = command("run", tmp_path, "--dry-run", "-q")
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert result.stderr.strip().count("\n") == 0


def test_a_configuration_file_that_does_not_exist_is_refused(command, album):
    result = command("run", album(1), "--config", "absent.toml")
    assert result.returncode == 2
    assert "absent.toml: cannot be read" in result.stderr


def test_model_options_of_file_and_command_line_are_merged(command, album):
    source = album(1)
    (source / "batchcolor.toml").write_text("set = { vividness = 0.5, nonsense = true }\n")
    result = command("run", source, "-m", "delta", "--set", "vividness=1", "--dry-run")
    assert result.returncode == 2
    assert "nonsense" in result.stderr


def test_the_python_api_takes_every_option_of_the_command_line():
    names = RunSettings.model_fields.keys() - {"sources", "frames", "report"}
    assert names <= RunArguments.__annotations__.keys()
