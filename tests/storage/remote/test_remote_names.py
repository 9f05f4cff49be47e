"""Messages on remote files have their URLs, never the paths of local copies."""

import json
import zipfile

import fsspec
import pytest

import batchcolor

READER = """
    import batchcolor

    def decode(path):
        raise ValueError(f"no header in {path}")

    @batchcolor.hookimpl
    def batchcolor_readers():
        return [batchcolor.Reader("odd", (".odd",), lambda head: head[:3] == b"odd", decode)]
"""
LOCAL = "batchcolor-remote-"


@pytest.fixture
def sources(album):
    """A folder of two pictures, and damaged files: three pictures and a film."""
    folder = album(2)
    (folder / "broken.jpg").write_bytes(b"not a picture")
    (folder / "cut.jpg").write_bytes((folder / "001.jpg").read_bytes()[:400])
    (folder / "scan.odd").write_bytes(b"odd")
    (folder / "film.mkv").write_bytes(b"not a film")
    return folder


def put(folder, kind, tmp_path, serve):
    """The source, and the URL of what it names."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if kind == "http":
        return (served := serve(folder)), served.rstrip("/")
    if kind == "memory":
        fsspec.filesystem("memory").put(f"{folder}/", "/names/", recursive=True)
        return "memory://names", "memory://names"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in files:
            archive.write(path, f"1931/{path.relative_to(folder).as_posix()}")
    return f"zip://1931::{tmp_path / 'a.zip'}", "zip://1931/{}::" + str(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["zip", "http", "memory"])
def test_failures_of_remote_files_have_their_url(
    kind, sources, plugin, flat, command, tmp_path, serve
):
    plugin("oddpack", READER)
    source, url = put(sources, kind, tmp_path, serve)
    expected = {
        url.format(name) if "{}" in url else f"{url}/{name}"
        for name in ("broken.jpg", "cut.jpg", "scan.odd", "film.mkv")
    }
    out, report = tmp_path / "out", tmp_path / "report.json"
    done = command("run", source, "-o", out, "-m", flat, "--log-json", "--report", report)
    assert done.returncode == 3, done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines()]
    failed = [one for one in events if one.get("outcome") == "failed"]
    assert {one["picture"] for one in failed} == expected
    assert {one["source"] for one in json.loads(report.read_text())["failures"]} == expected
    reasons = " ".join(one["reason"] for one in failed)
    assert next(name for name in expected if "scan.odd" in name) in reasons
    journal = (out / ".batchcolor" / "journal.jsonl").read_text()
    merged = command("report", out, "-v")
    listed = command("run", source, "-o", out, "-m", flat, "-v", "--retry-failed")
    for text in (done.stderr, report.read_text(), journal, merged.stdout, listed.stderr):
        assert LOCAL not in text
        assert all(name in text for name in expected)


def test_python_gets_the_urls_in_the_report(sources, flat, tmp_path):
    fsspec.filesystem("memory").put(f"{sources}/", "/report/", recursive=True)
    report = batchcolor.run("memory://report", output=tmp_path / "out", model=flat)
    names = {one["source"] for one in report.as_json()["failures"]}
    assert names == {f"memory://report/{name}" for name in ("broken.jpg", "cut.jpg", "film.mkv")}


@pytest.mark.parametrize("name", ["broken.jpg", "notes.txt"])
def test_photographs_that_cannot_be_used_have_the_url(name, flat, command, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"not a picture")
    url = f"zip://{tmp_path / 'a.zip'}"
    done = command("evaluate", "--data", url, "-m", flat)
    assert done.returncode == 2
    assert f"--data {url}: no " in done.stderr
    done = command("train", "beta", "--data", url, "-o", tmp_path / "new.safetensors")
    assert done.returncode == 2
    assert url in done.stderr
    assert "inputs" not in done.stderr
