"""Whether a folder is on a file system of the network, whose changes the system does not report."""

from __future__ import annotations

from pathlib import Path

import psutil

NETWORK_TYPES = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "afs", "9p", "ceph"),
        *("webdav", "davfs", "glusterfs", "lustre", "ncpfs", "virtiofs", "vboxsf", "prl_fs"),
    }
)
"""Types of file systems on which other computers make changes."""
FUSE = "fuse."
"""Prefix of types that a program provides: sshfs, rclone and others."""


def is_on_network(folder: Path) -> bool:
    """Whether changes of a folder may not be reported by the system. False where it is unknown."""
    try:
        path = folder.resolve()
        mounts = {Path(part.mountpoint): part for part in psutil.disk_partitions(all=True)}
    except OSError:
        return False
    mount = next((mounts[place] for place in (path, *path.parents) if place in mounts), None)
    if mount is None:
        return str(path).startswith("\\\\")  # a share of Windows
    kind = mount.fstype.lower()
    return kind in NETWORK_TYPES or kind.startswith(FUSE) or "remote" in mount.opts.split(",")
