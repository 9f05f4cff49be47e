"""The cache folder of packed pictures, in environments without a usable home folder."""

import os
import tempfile
from pathlib import Path

import pytest

from batchcolor.errors import UsageError
from batchcolor.storage import user_cache
from batchcolor.training import cache


@pytest.fixture
def temporary_folder(tmp_path, monkeypatch):
    """The system's folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    for name in ("XDG_CACHE_HOME", "BATCHCOLOR_CACHE"):
        monkeypatch.delenv(name, raising=False)
    return folder


def fallback(temporary_folder: Path) -> Path:
    return temporary_folder / f"batchcolor-{os.getuid()}" / "stores"


def test_the_cache_is_in_the_home_folder_by_default(tmp_path, temporary_folder, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    notes: list[str] = []
    assert cache.cache_folder(notes.append) == tmp_path / ".cache" / "batchcolor" / "stores"
    assert notes == []


def test_the_cache_folder_can_be_chosen(tmp_path, temporary_folder, monkeypatch):
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "chosen"))
    assert cache.cache_folder(pytest.fail) == tmp_path / "chosen" / "stores"


def test_a_chosen_cache_folder_that_is_not_writable_is_a_usage_error(
    tmp_path, temporary_folder, monkeypatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("BATCHCOLOR_CACHE", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="BATCHCOLOR_CACHE"):
        cache.cache_folder(pytest.fail)


def test_an_unknown_user_without_home_gets_a_temporary_cache_and_a_note(
    temporary_folder, monkeypatch
):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    notes: list[str] = []
    assert cache.cache_folder(notes.append) == fallback(temporary_folder)
    assert len(notes) == 1
    assert "no home folder" in notes[0]


@pytest.mark.parametrize("home", ["/proc", "/dev/null"])
def test_a_home_folder_that_is_not_writable_gives_a_temporary_cache_and_a_note(
    temporary_folder, monkeypatch, home
):
    monkeypatch.setenv("HOME", home)
    notes: list[str] = []
    assert cache.cache_folder(notes.append) == fallback(temporary_folder)
    assert "is not writable" in notes[0]
    assert "BATCHCOLOR_CACHE" in notes[0]


def test_a_temporary_cache_of_another_user_is_not_used(temporary_folder, monkeypatch):
    monkeypatch.setenv("HOME", "/proc")
    monkeypatch.setattr(user_cache, "_is_own", lambda folder: False)
    with pytest.raises(UsageError, match="BATCHCOLOR_CACHE"):
        cache.cache_folder(pytest.fail)
