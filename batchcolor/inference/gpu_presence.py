"""Whether this machine may have a GPU that torch can use, found without importing torch."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

LINUX_DEVICES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""Device files of NVIDIA's driver, of the Windows Subsystem for Linux, and of AMD's driver."""


def may_have_gpu() -> bool:
    """Returns False only where torch would find no GPU; if in doubt, torch has to be asked."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"
        return (system / "nvcuda.dll").exists()
    if sys.platform == "linux":
        return any(Path(device).exists() for device in LINUX_DEVICES)
    return True
