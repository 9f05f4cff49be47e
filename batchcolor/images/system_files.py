"""Files and folders of operating systems and network storage, which are skipped by their names."""

from __future__ import annotations

SYSTEM_FOLDERS = {
    "@eadir": "thumbnails of a network storage (Synology)",
    "@__thumb": "thumbnails of a network storage (QNAP)",
    "#recycle": "the recycle bin of a network storage",
    "@recycle": "the recycle bin of a network storage",
    "#snapshot": "snapshots of a network storage",
    "@recently-snapshot": "snapshots of a network storage",
    "__macosx": "macOS metadata of an archive",
    "$recycle.bin": "the recycle bin of Windows",
    "recycler": "the recycle bin of Windows",
    "system volume information": "a folder of Windows",
    "lost+found": "a folder of the file system",
}
"""What a folder with this name, in lower case, holds."""
SYSTEM_FILES = frozenset(
    {
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
        *("zbthumbnail.info", "picasa.ini"),
    }
)
"""Names of files, in lower case, that systems and viewers leave in folders of pictures."""


def describe_system_folder(name: str) -> str:
    """Returns what a folder that is skipped by its name holds, or an empty string."""
    if name.casefold() == ".appledouble":
        return "macOS metadata (AppleDouble)"
    if name.startswith("."):
        return "a hidden folder"
    return SYSTEM_FOLDERS.get(name.casefold(), "")


def is_system_file(name: str) -> bool:
    """Whether a file is hidden or left by a system; `._NAME` is macOS metadata of NAME."""
    return name.startswith(".") or name.casefold() in SYSTEM_FILES


def describe_system_files(names: list[str]) -> str:
    """Returns the reason for the files of one folder that `is_system_file` selects."""
    if len(names) == 1:
        return "a hidden or system file"
    return f"a hidden or system file, and {len(names) - 1} more in this folder"
