"""Plugins that fail in every way: reported, not used, and the rest works."""

import json

import pytest
from PIL import Image

GOOD = """
    import batchcolor, torch

    class Model:
        def __call__(self, luma):
            {body}

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        return [batchcolor.ColorizerSpec("{name}", "made for a test", 16, lambda options: Model())]
"""
HOOK = "import batchcolor\n@batchcolor.hookimpl\ndef batchcolor_colorizers"
CHROMA = "torch.full((len(luma), 2, 4, 4), 0.1)"


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    for value in (40, 120, 200):
        Image.new("L", (24, 16), value).save(place / f"{value}.png")
    return place


def model(plugin, body, name="odd"):
    plugin(f"{name}pack", GOOD.format(body=body, name=name), version="2.5")


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


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "not a tensor"),
        ("return torch.zeros(len(luma), 3, 4, 4)", "shape"),
        ("return torch.zeros(len(luma), 2, 4, 5)", "shape"),
        ("return torch.full((len(luma), 2, 4, 4), float('nan'))", "NaN"),
        ("return torch.full((len(luma), 2, 4, 4), 3.0)", "outside"),
        ("raise ValueError('no luck')", "no luck"),
        ("import sys; sys.exit(9)", "SystemExit"),
        (f"luma += 1; return {CHROMA}", "changed its input|Inplace|inplace"),
    ],
)
def test_a_model_with_wrong_results_fails_its_pictures_and_is_named(
    plugin, command, folder, tmp_path, body, message
):
    import re

    model(plugin, body)
    result = command("run", folder, "-o", tmp_path / "out", "-m", "odd", "--json")
    assert result.returncode == 3, result.stderr
    failures = json.loads(result.stdout)["failures"]
    assert len(failures) == 3
    assert all(failure["step"] == "chroma" for failure in failures)
    assert all("oddpack 2.5" in failure["reason"] for failure in failures)
    assert re.search(message, failures[0]["reason"])
    assert not list((tmp_path / "out").glob("*.png"))


BROKEN_MODEL = """
    import batchcolor, torch
    from torch import nn

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d({channels}, 2, 3)
            {build}

        def forward(self, luma):
            return {result}

    RECIPE = batchcolor.Recipe("-", 16, "sgd", 0.1, 2, 1)

    @batchcolor.hookimpl
    def batchcolor_colorizers():
        build = lambda options: Model()
        return [batchcolor.ColorizerSpec("odd", "made for a test", 16, build, recipe=RECIPE)]
"""
BROKEN_MODELS = {
    "build": (9, {"channels": 1, "build": "[].pop()", "result": "None"}),
    "weights": (9, {"channels": 1, "build": "torch.load(__file__)", "result": "None"}),
    "forward": (12, {"channels": 5, "build": "pass", "result": "self.layer(luma)"}),
    "result": (11, {"channels": 1, "build": "pass", "result": "None"}),
}
"""The line that is shown for each fault: the last of the plugin's code, not that of torch."""


@pytest.mark.parametrize("fault", BROKEN_MODELS)
def test_an_error_in_a_model_is_shown_with_file_and_line_when_verbose(
    plugin, command, folder, tmp_path, fault
):
    line, code = BROKEN_MODELS[fault]
    path = plugin("oddpack", BROKEN_MODEL.format(**code), version="2.5")
    arguments = ("run", folder, "-o", tmp_path / "out", "-m", "odd")
    brief = command(*arguments)
    assert brief.returncode == (5 if fault in ("build", "weights") else 3), brief.stderr
    assert "oddpack 2.5" in brief.stderr
    assert "oddpack.py" not in brief.stderr
    verbose = command(*arguments, "-v", "--retry-failed")
    assert verbose.returncode == brief.returncode
    assert verbose.stderr.count(f"({path}:{line})") == 1
    assert "Traceback" not in verbose.stderr


@pytest.mark.parametrize("fault", ["build", "forward", "result"])
def test_an_error_in_a_network_that_is_trained_is_shown_with_file_and_line_when_verbose(
    plugin, command, tmp_path, fault
):
    line, code = BROKEN_MODELS[fault]
    path = plugin("oddpack", BROKEN_MODEL.format(**code))
    colours = tmp_path / "colours"
    colours.mkdir()
    for number in range(8):
        picture = Image.new("RGB", (32, 32), (200, 20 * number, 40))
        picture.paste((10, 120, 20 * number), (8, 8, 8 + number, 24))
        picture.save(colours / f"{number}.png")
    arguments = ("train", "odd", "--data", colours, "-o", tmp_path / "run", "--device", "cpu", "-v")
    result = command(*arguments, BATCHCOLOR_CACHE=str(tmp_path / "cache"))
    assert result.returncode == 5, result.stderr
    assert "odd cannot be" in result.stderr
    assert result.stderr.strip().endswith(f"({path}:{line})")


def test_a_picture_that_a_model_cannot_process_fails_alone_in_its_batch(
    plugin, command, folder, tmp_path
):
    model(plugin, f"assert float(luma.max()) < 0.7, 'too bright'; return {CHROMA}")
    result = command("run", folder, "-o", tmp_path / "out", "-m", "odd", "--json")
    assert result.returncode == 3
    (failure,) = json.loads(result.stdout)["failures"]
    assert failure["source"].endswith("200.png")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == ["120.png", "40.png"]


def test_a_model_that_prints_and_sets_global_state_does_not_affect_the_job(
    plugin, command, folder, tmp_path
):
    model(
        plugin,
        "print('output'); torch.manual_seed(1); torch.set_default_dtype(torch.float64); "
        f"torch.set_num_threads(1); return {CHROMA}.float()",
    )
    result = command("run", folder, "-o", tmp_path / "out", "-m", "odd", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["done"] == 3


def test_a_name_that_two_plugins_claim_is_refused_and_both_are_named(
    plugin, command, folder, tmp_path
):
    for package in ("first", "second"):
        plugin(package, GOOD.format(name="same", body=f"return {CHROMA}"))
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


def test_plugins_are_disabled_by_option_and_by_environment(plugin, command):
    model(plugin, f"return {CHROMA}")
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


def test_a_reader_adds_a_format(plugin, command, flat, folder, tmp_path):
    plugin(
        "pgmreader",
        """
        import batchcolor
        from batchcolor.hooks.types import Reader

        def decode(path):
            import numpy
            from PIL import Image
            return numpy.asarray(Image.open(path))

        @batchcolor.hookimpl
        def batchcolor_readers():
            return [Reader("pgm", (".pgm",), lambda head: head.startswith(b"P5"), decode)]
        """,
    )
    Image.new("L", (10, 10), 99).save(folder / "old.pgm")
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "old.png") as written:
        assert written.size == (10, 10)


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


READER = """
    import numpy as np
    import batchcolor
    from batchcolor import Reader, ReadImage
    from PIL import Image, ImageCms

    def decode(path):
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "a barn"
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        pixels = np.asarray(Image.open(path))
        alpha = np.full((12, 10), 90, np.uint8)
        return {result}

    @batchcolor.hookimpl
    def batchcolor_readers():
        return [Reader("pgm", (".pgm",), lambda head: head.startswith(b"P5"), decode)]
"""


def test_a_reader_returns_alpha_and_metadata(plugin, command, flat, tmp_path):
    result = "ReadImage(pixels, alpha, exif.tobytes(), profile, b'<x:xmpmeta/>', (300, 300))"
    plugin("pgmreader", READER.format(result=result))
    Image.new("L", (10, 12), 99).save(tmp_path / "old.pgm")
    result = command("run", "old.pgm", "-o", tmp_path / "out", "-m", flat)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "out" / "old.png") as written:
        assert written.size == (10, 12)
        assert written.mode == "RGBA"
        assert written.getpixel((3, 3))[3] == 90
        assert (written.getexif()[0x010E], written.getexif()[0x0112]) == ("a barn", 1)
        assert round(written.info["dpi"][0]) == 300
        assert b"acspAPPL" in written.info["icc_profile"]
        assert "xmpmeta" in str(written.info["xmp"])


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("ReadImage(pixels, alpha[:5])", "alpha"),
        ("ReadImage(pixels, alpha.astype(np.uint16))", "alpha"),
        ("ReadImage(pixels.astype(float))", "not grey or RGB"),
        ("np.zeros((4, 4, 2), np.uint8)", "not grey or RGB"),
        ("None", "not grey or RGB"),
        ("pixels[:0]", "not grey or RGB"),
    ],
)
def test_a_wrong_picture_of_a_reader_fails_alone_with_the_readers_name(
    plugin, command, flat, folder, tmp_path, result, message
):
    plugin("pgmreader", READER.format(result=result))
    Image.new("L", (10, 12), 99).save(folder / "old.pgm")
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat, "--json")
    assert result.returncode == 3, result.stderr
    (failure,) = json.loads(result.stdout)["failures"]
    assert "reader pgm" in failure["reason"]
    assert message in failure["reason"]


@pytest.mark.parametrize("error", ["ValueError('not an old scanner')", "SystemExit(7)"])
@pytest.mark.parametrize("function", ["sniff", "decode"])
def test_a_reader_that_raises_fails_its_picture_and_is_reported_with_file_and_line(
    plugin, command, flat, folder, tmp_path, function, error
):
    plugin(
        "scanner",
        f"""
        import batchcolor

        def fail(*given):
            raise {error}

        @batchcolor.hookimpl
        def batchcolor_readers():
            functions = {{"sniff": lambda head: head.startswith(b"SCAN"), "decode": fail}}
            functions[{function!r}] = fail
            return [batchcolor.Reader("scan", (".scan",), **functions)]
        """,
        version="4.2",
    )
    for name in ("old.scan", "older.scan"):
        (folder / name).write_bytes(b"SCAN and a picture that no other reader knows")
    result = command("run", folder, "-o", tmp_path / "out", "-m", flat, "--json", "-v")
    document = json.loads(result.stdout)
    assert document["done"] == 3
    assert len([line for line in result.stderr.splitlines() if line.startswith("plugin s")]) == 1
    assert "plugin scanner (scanner 4.2)" in result.stderr
    assert "scanner.py:5" in result.stderr
    if function == "decode":
        assert result.returncode == 3
        assert all("scanner 4.2" in failure["reason"] for failure in document["failures"])


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
