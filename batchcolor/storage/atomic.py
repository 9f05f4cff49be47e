"""Atomic file writes: after a kill at any moment, the old file or the new one is there, whole.

A file is written to a temporary file in the folder of its target, flushed to the disk and renamed;
a folder likewise. Temporary files and folders have unique names made by the system and are removed
only by the process that created them, or by `remove_stale_temporaries` when that process no longer
exists.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from batchcolor.errors import OutputError, ProcessingError
from batchcolor.storage.process_token import is_running, process_token
from batchcolor.storage.shard import Shard, parse_tag

SUFFIX = ".batchcolor-tmp"
UNSUPPORTED = frozenset(
    {
        *(errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS),
        *(errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOTTY),
    }
)
"""What file systems such as SMB, FAT, exFAT, MTP and NFS return for operations that they lack."""
UNWRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR})

_own: set[Path] = set()
"""Temporary files and folders of this process that exist at the moment."""


_umask_lock = threading.Lock()
_shards: dict[str, list[Shard]] = {}
"""The shards of which this process writes results, by their output folder."""
_shards_lock = threading.Lock()


class FileSystemWarning(UserWarning):
    """A file system lacks an operation; the result is complete nevertheless."""


def commit(
    data: bytes,
    target: Path,
    verify: Callable[[Path], None],
    *,
    replace: bool,
    mtime_ns: int,
    durable: bool = True,
) -> None:
    """Writes `data` as `target`, with `mtime_ns` as its modification time.

    `verify` reads the temporary file back before it may take the name. With `replace` false, a
    file that exists under the name stays as it is. Not `durable` is a file that does not stay: it
    is not flushed to the disk.
    Raises FileExistsError (name taken), OutputError (disk full, folder missing or read-only) and
    ProcessingError (only this file fails).
    """
    with temporary_path(target, len(data)) as temporary:
        _write(temporary, data, durable=durable)
        verify(temporary)
        publish(temporary, target, replace=replace, mtime_ns=mtime_ns, durable=durable)


def write_atomic(target: Path, data: bytes, *, replace: bool = True) -> None:
    """Writes `data` as `target`.

    Raises FileExistsError where `replace` is false and the name is taken, and OutputError where the
    file cannot be written.
    """
    try:
        with temporary_path(target, len(data)) as temporary:
            _write(temporary, data)
            publish(temporary, target, replace=replace, mtime_ns=time.time_ns())
    except ProcessingError as error:
        raise OutputError(f"{target} cannot be written: {error.reason}") from error


def temporary_path(
    target: Path, size: int | None = None
) -> contextlib.AbstractContextManager[Path]:
    """An empty temporary file in the folder of `target`, removed at the end if it still exists.

    An OSError in the block becomes OutputError or ProcessingError; `size` is the number of bytes to
    be written, if known. FileExistsError is not translated.
    """
    return _temporary(_create_file, target, size)


def temporary_folder(target: Path) -> contextlib.AbstractContextManager[Path]:
    """An empty temporary folder beside `target`, removed at the end with all that it contains.

    Errors are those of `temporary_path`.
    """
    return _temporary(_create_folder, target, None)


@contextlib.contextmanager
def _temporary(
    create: Callable[[str, Path], Path], target: Path, size: int | None
) -> Iterator[Path]:
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = create(_make_ending(target.parent), target.parent)
        _own.add(temporary)
        yield temporary
    except FileExistsError:
        raise
    except OSError as error:
        raise _translate(error, target, size) from error
    finally:
        if temporary is not None:
            _remove(temporary)
            _own.discard(temporary)


def _create_file(suffix: str, folder: Path) -> Path:
    handle, name = tempfile.mkstemp(suffix, ".", folder)
    os.close(handle)
    return _permit(Path(name), 0o666)


def _create_folder(suffix: str, folder: Path) -> Path:
    return _permit(Path(tempfile.mkdtemp(suffix, ".", folder)), 0o777)


def _permit(path: Path, mode: int) -> Path:
    """Gives a temporary, which only its owner can read, the permissions of any other new file."""
    with contextlib.suppress(OSError):
        special = path.stat().st_mode & 0o7000  # a new folder inherits its parent's group this way
        path.chmod(special | mode & ~_umask())
    return path


def replace_folder(source: Path, target: Path, previous: Path) -> None:
    """Renames a complete folder to `target`, after renaming an existing `target` to `previous`.

    No system replaces a folder in one step: after a kill between the two, call `restore_folder`.
    Raises OSError.
    """
    if target.exists():
        target.rename(previous)
    source.rename(target)
    _sync_folder(target.parent)


def restore_folder(target: Path, previous: Path) -> None:
    """Undo a `replace_folder` that was killed between its two steps, where the system permits."""
    with contextlib.suppress(OSError):
        if previous.exists() and not target.exists():
            previous.rename(target)


def publish(
    temporary: Path, target: Path, *, replace: bool, mtime_ns: int, durable: bool = True
) -> None:
    """Renames a complete file to `target` in one step.

    Raises FileExistsError where the name is taken and `replace` is false, and OSError.
    """
    set_modification_time(temporary, mtime_ns)
    if replace:
        temporary.replace(target)
    else:
        _link(temporary, target)
    if durable:
        _sync_folder(target.parent)


def set_modification_time(path: Path, mtime_ns: int) -> None:
    """Sets the modification time, where the file system permits it; 0 is not known."""
    if not mtime_ns:
        return
    try:
        os.utime(path, ns=(mtime_ns, mtime_ns))
    except OSError as error:
        _tolerate(error, "file times are not kept")


def sync_to_disk(path: Path) -> None:
    """Waits until the content of the file is on the disk, where the file system supports it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        _fsync(handle)
    finally:
        os.close(handle)


def claim_folder(folder: Path, shard: Shard | None) -> None:
    """Marks temporaries that this process makes below `folder` as those of a shard."""
    if shard is not None:
        with _shards_lock:
            _shards.setdefault(os.path.abspath(folder), []).append(shard)  # noqa: PTH100


def release_folder(folder: Path, shard: Shard | None) -> None:
    """Ends `claim_folder`."""
    if shard is not None:
        with _shards_lock:
            path = os.path.abspath(folder)  # noqa: PTH100
            _shards[path].remove(shard)
            if not _shards[path]:
                del _shards[path]


def _make_ending(folder: Path) -> str:
    """The ending of the name of a temporary: its shard, if any, and its process."""
    shard = _find_shard(folder) if _shards else None
    owner = process_token() if shard is None else f"{shard.tag}.{process_token()}"
    return f".{owner}{SUFFIX}"


def _find_shard(folder: Path) -> Shard | None:
    path = Path(os.path.abspath(folder))  # noqa: PTH100
    with _shards_lock:
        claims = (_shards.get(str(parent)) for parent in (path, *path.parents))
        return next((claim[-1] for claim in claims if claim), None)


def remove_stale_temporaries(folder: Path, shard: Shard | None = None) -> int:
    """Removes temporaries below `folder` whose process no longer exists. Returns their number.

    With `shard`, temporaries of shards that may be running on other computers stay: those that have
    no source in common with it.
    """
    removed = 0
    for where, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(where, name)
            if not name.endswith(SUFFIX) or path in _own:
                continue
            others, _, token = name.removesuffix(SUFFIX).rpartition(".")
            owner = parse_tag(others.rpartition(".")[2])
            is_of_other = shard is not None and owner is not None and not shard.overlaps(owner)
            if not is_of_other and not is_running(token):
                removed += _remove(path)
        folders[:] = [name for name in folders if not name.endswith(SUFFIX)]
    return removed


def remove_own_temporaries() -> None:
    """Removes the temporaries of this process: for a process that ends at once."""
    for path in list(_own):
        _remove(path)


def _remove(temporary: Path) -> bool:
    """Removes a temporary file or folder. Returns whether it existed and is gone."""
    try:
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary)
        else:
            temporary.unlink()
    except OSError:
        return False
    return True


def _write(path: Path, data: bytes, *, durable: bool = True) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        if durable:
            _fsync(file.fileno())


def _fsync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        _tolerate(error, "it is not known when files are on the disk")


def _link(temporary: Path, target: Path) -> None:
    """Renames the temporary file unless the name is taken: in one step where hard links exist."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "taken", str(target)) from error
        _tolerate(error, "a file that another program makes at the same moment may be replaced")
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(PermissionError):  # Windows does not open folders
        sync_to_disk(folder)


def _tolerate(error: OSError, consequence: str) -> None:
    """Warns of an operation that the file system lacks; raises any other error."""
    if error.errno not in UNSUPPORTED:
        raise error
    warnings.warn(
        f"the file system of the output returns {error.strerror}: {consequence}",
        FileSystemWarning,
        stacklevel=2,
    )


def _translate(error: OSError, target: Path, size: int | None) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = _free_bytes(target.parent)
        needs = "more" if size is None else f"{size:,}"
        return OutputError(
            f"{target.parent} is full: {target.name} needs {needs} bytes and {free:,} are left; "
            f"make room and run the same command again"
        )
    if error.errno in UNWRITABLE:
        return OutputError(
            f"{target} cannot be written ({error.strerror}); "
            f"correct the cause and run the same command again"
        )
    return ProcessingError("commit", f"cannot be written: {error.strerror or error}")


def _free_bytes(folder: Path) -> int:
    try:
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize
    except OSError:
        return 0


def _umask() -> int:
    """The umask of the process. Thread-safe.

    It can only be read by setting it: that is done once, one thread at a time, and the value set
    for that moment permits no other user to read what other threads create meanwhile.
    """
    with _umask_lock:
        return _read_umask()


@cache
def _read_umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
