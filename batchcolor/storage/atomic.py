"""Writing a result so that a kill at any moment leaves the old file or the new one, whole."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from batchcolor.errors import OutputError, ProcessingError

SUFFIX = ".batchcolor-tmp"
LONGEST_NAME = 255
"""Bytes that a name may have on the common file systems."""


def commit(
    data: bytes, target: Path, verify: Callable[[Path], None], *, replace: bool, mtime_ns: int
) -> None:
    """Write `data` as `target`, by a temporary file in the same folder.

    The temporary is flushed to the disk and read back by its header before it may take the
    name; `target` then has the source's time of change. With `replace` false a name that was
    taken meanwhile stays as it is.
    Raises FileExistsError (taken), OutputError (disk full, folder gone or read-only) and
    ProcessingError (this one file only); no temporary is left behind.
    """
    with temporary_path(target, len(data)) as temporary:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        verify(temporary)
        publish(temporary, target, replace=replace, mtime_ns=mtime_ns)


@contextlib.contextmanager
def temporary_path(target: Path, size: int | None = None) -> Iterator[Path]:
    """A path beside `target` for what shall become it; gone at the end, whatever happens.

    What the disk refuses meanwhile becomes OutputError or ProcessingError; `size` is how many
    bytes are needed, where that is known. FileExistsError passes.
    """
    temporary = _temporary(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
    except FileExistsError:
        raise
    except OSError as error:
        raise _translated(error, target, size) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def publish(temporary: Path, target: Path, *, replace: bool, mtime_ns: int) -> None:
    """Give a file that is whole and on the disk its name, in one step.

    Raises FileExistsError where the name is taken and not to be replaced, and OSError.
    """
    os.utime(temporary, ns=(mtime_ns, mtime_ns))
    if replace:
        temporary.replace(target)
    else:
        _link(temporary, target)
    _sync_folder(target.parent)


def _temporary(target: Path) -> Path:
    name = os.fsencode(target.name)
    ending = os.fsencode(f".{os.getpid()}{SUFFIX}")
    return target.with_name(os.fsdecode(b"." + name[: LONGEST_NAME - 1 - len(ending)] + ending))


def _link(temporary: Path, target: Path) -> None:
    """Give the temporary its name unless the name is taken, in one step where links exist."""
    try:
        target.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if target.exists():  # a file system without links: FAT, some network shares
            raise FileExistsError(errno.EEXIST, "taken", str(target)) from error
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot; the file itself is safe
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _translated(error: OSError, target: Path, size: int | None) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = _free(target.parent)
        needs = "more" if size is None else f"{size:,}"
        return OutputError(
            f"{target.parent} is full: {target.name} needs {needs} bytes and {free:,} are left; "
            f"make room and run the same command again"
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR):
        return OutputError(
            f"{target.parent} cannot be written any more ({error.strerror}); "
            f"put it right and run the same command again"
        )
    return ProcessingError("commit", f"cannot be written: {error.strerror or error}")


def _free(folder: Path) -> int:
    try:
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize
    except OSError:
        return 0


def sweep(folder: Path, *, own: bool = False) -> int:
    """Remove the temporaries of processes that are no more (or our own) below `folder`."""
    swept = 0
    for where, _, names in os.walk(folder):
        for name in names:
            if not name.endswith(SUFFIX):
                continue
            process = name.removesuffix(SUFFIX).rpartition(".")[2]
            if process.isdigit() and (
                int(process) == os.getpid() if own else not _alive(int(process))
            ):
                with contextlib.suppress(OSError):
                    Path(where, name).unlink()
                    swept += 1
    return swept


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
