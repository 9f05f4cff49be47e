"""Atomic writes on file systems that lack operations, with names that are alike, after kills."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchcolor.errors import OutputError, ProcessingError
from batchcolor.storage import atomic
from batchcolor.storage.atomic import (
    FileSystemWarning,
    remove_stale_temporaries,
    replace_folder,
    restore_folder,
    temporary_folder,
    temporary_path,
    write_atomic,
)

LACKING = ["EPERM", "EACCES", "EINVAL", "ENOSYS", "EOPNOTSUPP", "ENOTSUP"]


def fail_with(name: str):
    def fail(*arguments: object, **more: object) -> None:
        raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))

    return fail


def test_files_written_at_once_under_long_names_that_begin_alike_keep_their_content(tmp_path):
    names = [f"{'й' * 115}{number:03d}.txt" for number in range(40)]
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        if number < 8:
            barrier.wait()
        write_atomic(tmp_path / names[number], str(number).encode() * 5000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(len(names))))
    for number, name in enumerate(names):
        assert (tmp_path / name).read_bytes() == str(number).encode() * 5000
    assert len(list(tmp_path.iterdir())) == len(names)


@pytest.mark.parametrize("name", LACKING)
@pytest.mark.parametrize("operation", ["utime", "fsync"])
def test_an_operation_that_the_file_system_lacks_is_noted_and_the_file_written(
    tmp_path, monkeypatch, operation, name
):
    monkeypatch.setattr(os, operation, fail_with(name))
    with pytest.warns(FileSystemWarning, match="file system of the output"):
        write_atomic(tmp_path / "a.txt", b"whole")
    assert (tmp_path / "a.txt").read_bytes() == b"whole"


@pytest.mark.parametrize("name", LACKING)
def test_without_hard_links_a_name_that_is_free_is_taken_and_one_that_is_not_stays(
    tmp_path, monkeypatch, name
):
    monkeypatch.setattr(os, "link", fail_with(name))
    with pytest.warns(FileSystemWarning, match="another program"):
        write_atomic(tmp_path / "a.txt", b"first", replace=False)
    with pytest.raises(FileExistsError):
        write_atomic(tmp_path / "a.txt", b"second", replace=False)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"first"]


def test_a_disk_error_is_not_taken_for_a_lacking_operation(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail_with("EIO"))
    with pytest.raises(OutputError):
        write_atomic(tmp_path / "a.txt", b"whole")
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_too_long_fails_that_file_only(tmp_path):
    with (
        pytest.raises(ProcessingError, match="too long"),
        temporary_path(tmp_path / ("a" * 300)) as path,
    ):
        path.rename(tmp_path / ("a" * 300))
    assert list(tmp_path.iterdir()) == []


def test_a_written_file_has_the_permissions_that_the_user_s_mask_gives(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomic(tmp_path / "a.txt", b"whole")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_folder_made_from_a_temporary_has_the_permissions_of_any_other_folder(tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o2755)  # new folders below inherit the group, and this bit
    (parent / "plain").mkdir()
    with temporary_folder(parent / "new") as temporary:
        replace_folder(temporary, parent / "new", parent / "previous")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in parent.iterdir()}
    assert len(modes) == 1


def test_the_umask_of_the_process_is_kept_when_threads_read_it_at_once(monkeypatch):
    set_umask, previous = os.umask, os.umask(0o027)

    def set_slowly(mask: int) -> int:
        former = set_umask(mask)
        time.sleep(0.01)
        return former

    monkeypatch.setattr(os, "umask", set_slowly)
    atomic._read_umask.cache_clear()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: atomic._umask(), range(4))) == {0o027}
        assert set_umask(0o027) == 0o027
    finally:
        set_umask(previous)
        atomic._read_umask.cache_clear()


def test_a_temporary_of_a_process_id_that_repeats_is_removed_and_one_of_a_running_one_stays(
    tmp_path,
):
    me = os.getpid()
    for token in ("1", f"{me}", f"{me}-1", "999999999-5", "nonsense"):
        (tmp_path / f".x.{token}{atomic.SUFFIX}").write_bytes(b"half")
    code = (
        "import sys, pathlib; from batchcolor.storage.atomic import temporary_path\n"
        "with temporary_path(pathlib.Path(sys.argv[1])) as path:\n"
        "    print(path, flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "b.txt")]
    other = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    running = Path(other.stdout.readline().strip())
    with temporary_path(tmp_path / "c.txt") as own:
        assert remove_stale_temporaries(tmp_path) == 5
        assert {*tmp_path.iterdir()} == {running, own}
    other.kill()
    other.communicate()
    assert remove_stale_temporaries(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_of_a_killed_process_is_removed_with_its_content(tmp_path):
    stale = tmp_path / f".store.999999999-5{atomic.SUFFIX}"
    (stale / "below").mkdir(parents=True)
    (stale / "below" / "a.txt").write_bytes(b"half")
    with temporary_folder(tmp_path / "store") as own:
        (own / "a.txt").write_bytes(b"half")
        assert remove_stale_temporaries(tmp_path) == 1
        assert list(tmp_path.rglob("*")) == [own, own / "a.txt"]
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_folder_is_restored_after_a_kill_between_the_two_renames(tmp_path, monkeypatch):
    source, target, former = (tmp_path / name for name in ("new", "result", "former"))
    for folder in (source, target):
        folder.mkdir()
        (folder / "a.txt").write_text(folder.name)

    class Killed(BaseException):
        pass

    rename = Path.rename

    def rename_once(path: Path, to: Path) -> Path:
        if path == source:
            raise Killed
        return rename(path, to)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename_once)
        with pytest.raises(Killed):
            replace_folder(source, target, former)
    assert not target.exists()
    restore_folder(target, former)
    assert (target / "a.txt").read_text() == "result"

    replace_folder(source, target, former)
    restore_folder(target, former)
    assert (target / "a.txt").read_text() == "new"


def test_a_job_on_a_file_system_that_lacks_operations_is_done_and_notes_it_once(
    flat, command, album, monkeypatch
):
    for operation in ("utime", "fsync", "link"):
        monkeypatch.setattr(os, operation, fail_with("EPERM"))
    result = command("run", album(6), "-m", flat, "-o", "out", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["done"] == 6
    assert sum("file times are not kept" in note for note in report["notes"]) == 1


@pytest.mark.parametrize("name", LACKING)
def test_a_job_without_locks_is_done_and_notes_it(
    flat, command, album, tmp_path, monkeypatch, name
):
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", fail_with(name))
    result = command("run", album(2), "-m", flat, "-o", "out", "--json")
    assert result.returncode == 0, result.stderr
    assert any("without locks" in note for note in json.loads(result.stdout)["notes"])
    assert not (tmp_path / "out" / ".batchcolor" / "lock.soft").exists()
    quiet = command("run", album(2), "-m", flat, "-o", "out", "--no-lock", "--json")
    assert quiet.returncode == 0, quiet.stderr
    assert not any("without locks" in note for note in json.loads(quiet.stdout)["notes"])
