"""`--c2pa`: results are signed; C2PA's own reader validates them."""

from __future__ import annotations

import datetime
import io
import json
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

c2pa = pytest.importorskip("c2pa", reason="batchcolor[c2pa] is not installed")

from cryptography import x509  # noqa: E402  (comes with c2pa-python)
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

START = datetime.datetime(2025, 1, 1)
END = START + datetime.timedelta(days=36500)
TYPES = {
    **{"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "tif": "image/tiff"},
    **{"avif": "image/avif", "heic": "image/heic", "jxl": "image/jxl"},
}
FILM_TYPES = {"mp4": "video/mp4", "mov": "video/quicktime", "gif": "image/gif"}


def make_certificate(subject: str, issuer: str, key: Any, issuer_key: Any) -> x509.Certificate:
    def name(text: str) -> x509.Name:
        parts = ((NameOID.ORGANIZATION_NAME, "Archive"), (NameOID.COMMON_NAME, text))
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])

    is_authority = subject == issuer
    usage = (True, False, False, False, False, is_authority, is_authority, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.KeyUsage(*usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
    )
    if not is_authority:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture
def signer(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate chain and its private key, made for this test."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = make_certificate("Root", "Root", root_key, root_key)
    leaf = make_certificate("Scanner", "Root", key, root_key)
    pem = serialization.Encoding.PEM
    chain_path, key_path = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain_path.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_path.write_bytes(key.private_bytes(pem, *private))
    return chain_path, key_path


def read_manifest(path: Path) -> tuple[str, dict[str, Any]]:
    reader = c2pa.Reader((TYPES | FILM_TYPES)[path.suffix[1:]], io.BytesIO(path.read_bytes()))
    document = json.loads(reader.json())
    return reader.get_validation_state(), document["manifests"][document["active_manifest"]]


@pytest.mark.parametrize("suffix", TYPES)
def test_signed_results_are_valid_and_name_scan_and_edit(
    command, flat, grey_picture, tmp_path, signer, suffix
):
    scan, out = tmp_path / "scan.png", tmp_path / "out"
    grey_picture(60, 40).save(scan)

    done = command("run", scan, "-o", out, "-m", flat, "--format", suffix, "--c2pa", *signer)

    assert done.returncode == 0, done.stderr
    state, manifest = read_manifest(out / f"scan.{suffix}")
    assert state == "Valid"
    (parent,) = manifest["ingredients"]
    assert (parent["title"], parent["relationship"]) == (scan.name, "parentOf")
    (actions,) = (a["data"]["actions"] for a in manifest["assertions"] if "actions" in a["label"])
    assert [action["action"] for action in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")


def test_signing_does_not_change_pixels(command, flat, grey_picture, tmp_path, signer):
    scan = tmp_path / "scan.jpg"
    grey_picture(60, 40).save(scan)

    command("run", scan, "-o", tmp_path / "signed", "-m", flat, "--c2pa", *signer)
    command("run", scan, "-o", tmp_path / "plain", "-m", flat)

    signed, plain = (Image.open(tmp_path / name / "scan.jpg") for name in ("signed", "plain"))
    assert np.array_equal(np.asarray(signed), np.asarray(plain))
    assert signed.info["xmp"] == plain.info["xmp"]


def test_an_altered_result_is_not_valid(command, flat, grey_picture, tmp_path, signer):
    scan, out = tmp_path / "scan.jpg", tmp_path / "out"
    grey_picture(60, 40).save(scan)
    command("run", scan, "-o", out, "-m", flat, "--c2pa", *signer)
    content = bytearray((out / "scan.jpg").read_bytes())
    content[-50] ^= 1
    (out / "scan.jpg").write_bytes(content)

    assert read_manifest(out / "scan.jpg")[0] == "Invalid"


def test_a_signed_source_is_the_parent_of_a_valid_result(
    command, flat, grey_picture, tmp_path, signer
):
    scan = tmp_path / "scan.jpg"
    grey_picture(60, 40).save(scan)
    command("run", scan, "-o", tmp_path / "first", "-m", flat, "--c2pa", *signer)
    signed = tmp_path / "signed.jpg"
    (tmp_path / "first" / "scan.jpg").rename(signed)
    again = ("run", signed, "-m", flat, "--if-colored", "recolor")

    command(*again, "-o", tmp_path / "second", "--c2pa", *signer)
    command(*again, "-o", tmp_path / "unsigned")

    state, manifest = read_manifest(tmp_path / "second" / "signed.jpg")
    assert state == "Valid"
    assert manifest["ingredients"][0]["active_manifest"]
    assert b"c2pa.signature" not in (tmp_path / "unsigned" / "signed.jpg").read_bytes()


def test_a_format_without_credentials_is_refused_by_name(
    command, flat, grey_picture, tmp_path, signer
):
    grey_picture(60, 40).save(tmp_path / "scan.bmp")

    done = command(
        "run", tmp_path / "scan.bmp", "-o", tmp_path / "o", "-m", flat, "--c2pa", *signer
    )

    assert done.returncode == 3
    assert "bmp cannot hold Content Credentials" in done.stderr


def test_an_unsuitable_certificate_is_refused_before_the_job(
    command, flat, grey_picture, tmp_path, signer
):
    grey_picture(60, 40).save(tmp_path / "scan.jpg")
    run = ("run", tmp_path / "scan.jpg", "-o", tmp_path / "out", "-m", flat, "--c2pa")

    assert command(*run, signer[1], signer[1]).returncode == 2
    assert command(*run, signer[0], tmp_path / "missing.pem").returncode == 2
    assert not (tmp_path / "out").exists()


def test_the_configuration_file_names_both_files(command, flat, grey_picture, tmp_path, signer):
    folder = tmp_path / "album"
    folder.mkdir()
    grey_picture(60, 40).save(folder / "scan.jpg")
    (folder / "batchcolor.toml").write_text('c2pa = ["../chain.pem", "../key.pem"]\n')

    command("run", folder, "-o", tmp_path / "out", "-m", flat)

    assert read_manifest(tmp_path / "out" / "scan.jpg")[0] == "Valid"


def test_the_source_of_a_signed_result_is_restored(command, flat, album, signer, tmp_path):
    source = album(1)
    (path,) = source.rglob("*.jpg")
    signed = command("run", source, "-m", flat, "-o", "out", "--c2pa", *signer)
    assert signed.returncode == 0, signed.stderr
    (result,) = (tmp_path / "out").rglob("*.jpg")
    assert b"c2pa" in result.read_bytes()
    restored = command("restore", result, "-o", "grey.jpg")
    assert restored.returncode == 0, restored.stderr
    assert (tmp_path / "grey.jpg").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("suffix", FILM_TYPES)
def test_films_are_signed_without_a_change_of_their_frames(
    command, flat, make_clip, tmp_path, signer, suffix
):
    film = make_clip(tmp_path / "film.mkv", frames=5)
    options = ("run", film, "-m", flat, "--format", suffix)

    done = command(*options, "-o", tmp_path / "signed", "--c2pa", *signer)
    command(*options, "-o", tmp_path / "plain")

    assert done.returncode == 0, done.stderr
    signed, plain = (tmp_path / name / f"film.{suffix}" for name in ("signed", "plain"))
    state, manifest = read_manifest(signed)
    assert state == "Valid"
    assert manifest["ingredients"][0]["title"] == "film.mkv"
    with av.open(str(signed)) as one, av.open(str(plain)) as other:
        for left, right in zip(one.decode(video=0), other.decode(video=0), strict=True):
            assert left.pts == right.pts
            assert np.array_equal(left.to_ndarray(format="rgb24"), right.to_ndarray(format="rgb24"))
    assert command("verify", tmp_path / "signed").returncode == 0
    assert not [path for path in (tmp_path / "signed").iterdir() if "tmp" in path.name]


def test_a_tiff_with_pages_is_not_signed(command, flat, grey_picture, tmp_path, signer):
    scan, out = tmp_path / "scan.tif", tmp_path / "out"
    grey_picture(40, 30).save(scan, save_all=True, append_images=[grey_picture(30, 20)])
    done = command("run", scan, "-o", out, "-m", flat, "-v", "--c2pa", *signer)
    assert done.returncode == 0, done.stderr
    assert "not signed" in done.stderr + done.stdout
    with Image.open(out / scan.name) as result:
        assert result.n_frames == 2


@pytest.mark.parametrize("options", [("--format", "mkv"), ("--to-frames",)])
def test_a_film_that_cannot_be_signed_has_a_note(
    command, flat, make_clip, tmp_path, signer, options
):
    film = make_clip(tmp_path / "film.mp4", frames=3)
    done = command("run", film, "-o", tmp_path / "out", "-m", flat, *options, "--c2pa", *signer)
    assert done.returncode == 0, done.stderr
    assert "not signed" in done.stderr + done.stdout


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_animations_are_signed(command, flat, grey_picture, tmp_path, signer, suffix):
    scan, out = tmp_path / f"scan.{suffix}", tmp_path / "out"
    pages = [grey_picture(40, 30, seed) for seed in range(3)]
    pages[0].save(scan, save_all=True, append_images=pages[1:])

    done = command("run", scan, "-o", out, "-m", flat, "--no-mark", "--c2pa", *signer)

    assert done.returncode == 0, done.stderr
    assert read_manifest(out / scan.name)[0] == "Valid"
    with Image.open(out / scan.name) as result:
        assert result.n_frames == 3


def test_a_name_that_is_not_unicode_is_escaped_in_the_manifest(
    command, flat, grey_picture, tmp_path, signer
):
    scan = tmp_path / os.fsdecode(b"caf\xe9.png")
    try:
        grey_picture(20, 20).save(scan)
    except OSError:
        pytest.skip("the file system takes Unicode names only")
    done = command("run", tmp_path, "-o", tmp_path.parent / "o", "-m", flat, "--c2pa", *signer)
    assert done.returncode == 0, done.stderr
    (result,) = (tmp_path.parent / "o").glob("*.png")
    assert read_manifest(result)[1]["title"] == "caf\\udce9.png"
