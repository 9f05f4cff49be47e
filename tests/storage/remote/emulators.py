"""Servers of Google Cloud Storage and Azure Blob Storage on loopback."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Of the account of every Azurite, from its documentation: no secret."""
AZURE_CONNECTION = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
    "BlobEndpoint={url}/devstoreaccount1;"
)


def serve_google() -> Iterator[str]:
    """Yields the address of gcp-storage-emulator, which runs in this process."""
    for package in ("gcsfs", "gcp_storage_emulator"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the Google Cloud Storage server of the tests needs {package}")
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    yield f"http://127.0.0.1:{server._api._httpd.server_port}"
    server.stop()


def serve_azure(folder: Path) -> Iterator[str]:
    """Yields the address of Azurite, `npm install azurite`, which runs in a process of its own."""
    if importlib.util.find_spec("adlfs") is None:
        pytest.skip("az:// needs adlfs")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("the Azure server of the tests, azurite-blob, is not installed")
    server = subprocess.Popen(
        [
            *(program, "--inMemoryPersistence", "--silent", "--disableTelemetry"),
            *("--skipApiVersionCheck", "--blobHost", "127.0.0.1", "--blobPort", "0"),
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    for line in server.stdout:
        if "successfully listens on" in line:
            yield line.split()[-1]
            break
    else:
        pytest.skip("azurite-blob does not start")
    server.terminate()
    server.wait()
