"""`info FILE`: the command that it shows colours the source again."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from batchcolor.cli.repeat_command import list_missing, make_command
from batchcolor.images.provenance_marks.provenance import Provenance

NAMES = [
    b"-dash.png",
    b'it\'s "quoted" $HOME `x` \\n.png',
    b"new\nline\tand\x1b.png",
    "Großmutter 🎞.png".encode(),
    b"caf\xe9 'au lait'.png",
]


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize("name", NAMES)
def test_the_command_works_in_a_shell(command, flat, grey_picture, tmp_path, name):
    source = tmp_path / os.fsdecode(name)
    try:
        grey_picture(40, 30).save(source)
    except OSError:
        pytest.skip("the file system does not take the name")
    command("run", source, "-o", tmp_path / "out", "-m", flat, "--salvage")
    (result,) = (tmp_path / "out").glob("*.png")

    shown = command("info", result).stdout.splitlines()
    (line,) = (line for line in shown if line.strip().startswith("command"))
    script = f"batchcolor() {{ printf '%s\\0' \"$@\"; }}\n{line.split(maxsplit=1)[1]}\n"
    read = subprocess.run(["bash", "-c", os.fsencode(script)], capture_output=True, check=True)

    words = read.stdout.split(b"\0")[:-1]
    prefix = b"./" if name.startswith(b"-") else b""
    assert words == [b"run", prefix + name, b"-m", b"flat", b"--salvage"]


def test_the_command_of_a_recoloured_picture_colours_it_again(command, flat, tmp_path):
    source = tmp_path / "market.png"
    areas = np.random.default_rng(5).integers(40, 216, (7, 9, 3), dtype=np.uint8)
    Image.fromarray(areas).resize((90, 60), Image.Resampling.BICUBIC).save(source)
    options = ("-m", flat, "--if-colored", "recolor", "--format", "jpeg")
    command("run", source, "-o", tmp_path / "out", *options)

    document = json.loads(command("info", tmp_path / "out" / "market.jpg", "--json").stdout)
    again = shlex.split(document["command"])[1:]
    again[1] = str(source)
    command(*again, "-o", tmp_path / "again")

    first, second = (tmp_path / name / "market.jpg" for name in ("out", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_a_copy_of_a_picture_in_colour_has_no_mark(command, flat, tmp_path):
    source = tmp_path / "market.png"
    areas = np.random.default_rng(5).integers(40, 216, (7, 9, 3), dtype=np.uint8)
    Image.fromarray(areas).resize((90, 60), Image.Resampling.BICUBIC).save(source)
    command("run", source, "-o", tmp_path / "out", "-m", flat)
    done = command("info", tmp_path / "out" / "market.png")
    assert done.returncode == 2
    assert "copy of a picture that was in colour already" in done.stderr


def test_settings_without_an_option_are_not_in_the_command():
    settings = {"hints": 3, "strength": 0.5, "set": {"sharp": False}}
    provenance = Provenance("", "beta", "", "a.png", "", settings)
    assert make_command(provenance) == (
        "batchcolor run a.png -m beta --strength 0.5 --set sharp=false"
    )
    assert list_missing(provenance) == ["hints"]
