"""`--c2pa`: results are signed; C2PA's own reader validates them."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path
from typing import Any

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
    reader = c2pa.Reader(TYPES[path.suffix[1:]], io.BytesIO(path.read_bytes()))
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
