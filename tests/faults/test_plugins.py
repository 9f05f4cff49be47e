"""Plugins that fail in every way: reported, not used, and the rest works."""

import json

import pytest
from PIL import Image

CHROMA = "torch.full((len(luma), 2, 4, 4), 0.1)"
HOOK = "import batchcolor\n@batchcolor.hookimpl\ndef batchcolor_colorizers"


@pytest.mark.parametrize(
    "code",
    [
        "import nothing_of_that_name",
        "raise RuntimeError('broken at import')",
        "import sys; sys.exit(0)",
        HOOK + "(): raise ValueError('hook')",
        HOOK + "(): return 7",
        HOOK + "(wrong): return []",
        "BATCHCOLOR_CONTRACT = 99",
    ],
)
def test_a_plugin_that_cannot_be_loaded_is_reported_with_its_version_and_the_rest_works(
    plugin, command, code
):
    plugin("brokenpack", code, version="0.3")
    result = command("plugins", "--json")
    assert result.returncode == 0, result.stderr
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["brokenpack"]["state"] == "broken"
    assert (rows["brokenpack"]["package"], rows["brokenpack"]["version"]) == ("brokenpack", "0.3")
    assert rows["builtin"]["state"] == "works"
    models = command("models", "--json")
    assert {"alpha", "beta"} <= {row["name"] for row in json.loads(models.stdout)}


def test_a_name_that_two_plugins_claim_is_refused_and_both_are_reported(
    install_model, command, folder, tmp_path
):
    for package in ("first", "second"):
        install_model(f"return {CHROMA}", package, "same", "1.0")
    result = command("run", folder, "-o", tmp_path / "out", "-m", "same")
    assert result.returncode == 5
    assert "first 1.0" in result.stderr
    assert "second 1.0" in result.stderr


def test_an_unknown_model_is_one_line_with_the_nearest_name(command, folder):
    result = command("run", folder, "-m", "betta")
    assert result.returncode == 5
    assert result.stderr.strip().count("\n") == 0
    assert "did you mean beta" in result.stderr


def test_a_broken_plugin_that_is_requested_exits_with_5_and_its_error(plugin, command, folder):
    plugin("brokenpack", "raise RuntimeError('no licence file')", version="0.3")
    result = command("run", folder, "-m", "brokenpack")
    assert result.returncode == 5
    assert "no licence file" in result.stderr
    assert "0.3" in result.stderr


def test_plugins_are_disabled_by_option_and_by_environment(install_model, command):
    install_model(f"return {CHROMA}")
    for arguments, environment in (
        (["models", "--json", "--no-plugins"], {}),
        (["models", "--json"], {"BATCHCOLOR_DISABLE_PLUGINS": "oddpack, other"}),
    ):
        names = [row["name"] for row in json.loads(command(*arguments, **environment).stdout)]
        assert "odd" not in names
        assert "beta" in names


def test_a_chroma_filter_is_applied_and_fails_only_the_picture_that_it_raises_for(
    plugin, command, flat, folder, tmp_path
):
    plugin(
        "filters",
        """
        import batchcolor

        @batchcolor.hookimpl
        def batchcolor_chroma(chroma, luma, picture):
            assert luma.shape == (16, 16) and picture.width == 24
            if picture.path.name == "120.png":
                raise ValueError("not this one")
            return chroma * 0
        """,
    )
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat, "--json")
    (failure,) = json.loads(result.stdout)["failures"]
    assert failure["source"].endswith("120.png")
    assert "not this one" in failure["reason"]
    with Image.open(tmp_path / "out" / "40.png") as grey:
        assert len(set(grey.getpixel((3, 3)))) == 1


def test_done_gets_every_picture_and_its_failure_does_not_affect_the_job(
    plugin, command, flat, folder, tmp_path
):
    plugin(
        "listener",
        f"""
        import batchcolor

        @batchcolor.hookimpl
        def batchcolor_done(outcome):
            with open({str(tmp_path / "log")!r}, "a") as file:
                file.write(outcome.status + " " + outcome.source.name + "\\n")
            raise ValueError("and yet")
        """,
    )
    (folder / "bad.png").write_bytes(b"nothing")
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat)
    assert result.returncode == 3
    lines = sorted((tmp_path / "log").read_text().splitlines())
    assert lines == ["done 120.png", "done 200.png", "done 40.png", "failed bad.png"]
    assert "and yet" in result.stderr


def test_a_plugin_adds_a_command(plugin, command):
    plugin(
        "greeter",
        """
        import batchcolor

        @batchcolor.hookimpl
        def batchcolor_commands(app):
            @app.command()
            def greet():
                print("good morning")
        """,
    )
    assert command("greet").stdout == "good morning\n"
    assert command("greet", "--no-plugins").returncode == 2


def test_a_plugin_does_not_replace_a_command(plugin, command):
    code = """
        import batchcolor

        @batchcolor.hookimpl
        def batchcolor_commands(app):
            @app.command()
            def info():
                print("another info")

            @app.command("greet")
            def second():
                print("{name}")
    """
    for name in ("aa", "bb"):
        plugin(name, code.format(name=name))
    assert "versions" in command("info").stdout
    first = command("greet").stdout.strip()
    errors = {row["name"]: row["error"] for row in json.loads(command("plugins", "--json").stdout)}
    assert all("there is a command info already" in errors[name] for name in ("aa", "bb"))
    (other,) = {"aa", "bb"} - {first}
    assert "there is a command greet already" in errors[other]
