"""`--sidecar` and `--premis`: documents beside each result, with checksums of both files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from lxml import etree
from PIL import Image

NAMES = {"premis": "http://www.loc.gov/premis/v3"}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def scan(tmp_path: Path, grey_picture) -> Path:
    path = tmp_path / "scans" / "über den Fluss.jpg"
    path.parent.mkdir()
    grey_picture(60, 40).save(path)
    return path


def test_the_json_sidecar_has_checksums_settings_and_notes(command, flat, tmp_path):
    scan, out = tmp_path / "scan.png", tmp_path / "out"
    Image.new("LA", (20, 10), (90, 128)).save(scan)

    command("run", scan, "-o", out, "-m", flat, "--sidecar", "--format", "jpg", "--strength", "0.5")

    document = json.loads((out / "scan.jpg.json").read_text())
    assert document["source"]["sha256"] == digest(scan)
    assert document["source"]["size"] == scan.stat().st_size
    assert document["result"] == {
        "file": "scan.jpg",
        "format": "jpeg",
        "size": (out / "scan.jpg").stat().st_size,
        "sha256": digest(out / "scan.jpg"),
    }
    assert document["settings"] == {"strength": 0.5, "format": "jpg"}
    assert document["notes"][0].startswith("transparency dropped: jpeg")


def test_premis_describes_both_files_and_the_event(command, flat, scan, tmp_path):
    out = tmp_path / "out"

    command("run", scan, "-o", out, "-m", flat, "--premis")

    root = etree.parse(out / f"{scan.name}.premis.xml").getroot()
    found = root.xpath("//premis:messageDigest/text()", namespaces=NAMES)
    assert found == [digest(scan), digest(out / scan.name)]
    assert root.xpath("string(//premis:eventType)", namespaces=NAMES) == "modification"
    detail = root.xpath("string(//premis:eventDetail)", namespaces=NAMES)
    assert json.loads(detail)["model"] == "flat"
    assert root.xpath("string(//premis:originalName)", namespaces=NAMES) == scan.name
    kinds = [etree.QName(child).localname for child in root]
    assert kinds == ["object", "object", "event", "agent"]


def test_the_sidecar_of_a_copy_says_that_it_is_one(command, flat, tmp_path):
    scan, out = tmp_path / "colour.png", tmp_path / "out"
    image = Image.effect_mandelbrot((80, 60), (-2, -1, 1, 1), 50)
    Image.merge("RGB", (image, image.rotate(90), image.rotate(180))).save(scan)

    command("run", scan, "-o", out, "-m", flat, "--sidecar", "--premis")

    document = json.loads((out / "colour.png.json").read_text())
    assert document["action"] == "copied"
    assert document["source"]["sha256"] == document["result"]["sha256"]
    assert b">replication<" in (out / "colour.png.premis.xml").read_bytes()


def test_sidecars_of_existing_results_are_added(command, flat, scan, tmp_path):
    out = tmp_path / "out"
    command("run", scan, "-o", out, "-m", flat)

    command("run", scan, "-o", out, "-m", flat, "--sidecar")

    document = json.loads((out / f"{scan.name}.json").read_text())
    assert document["result"]["sha256"] == digest(out / scan.name)


def test_a_file_with_the_name_of_a_sidecar_stays(command, flat, scan, tmp_path):
    other = tmp_path / "out" / f"{scan.name}.json"
    other.parent.mkdir()
    other.write_text("{}")

    done = command("run", scan, "-o", tmp_path / "out", "-m", flat, "--sidecar", "-v")

    assert other.read_text() == "{}"
    assert "exists and is another file" in done.stderr


def test_a_film_has_a_sidecar(command, flat, make_clip, tmp_path):
    clip, out = make_clip(tmp_path / "clip.mp4", frames=3), tmp_path / "out"

    command("run", clip, "-o", out, "-m", flat, "--sidecar")

    document = json.loads((out / "clip.mp4.json").read_text())
    assert document["result"]["sha256"] == digest(out / "clip.mp4")
