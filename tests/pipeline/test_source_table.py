"""Sources are read from a column of CSV and TSV tables, as spreadsheets write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchcolor.errors import UsageError
from batchcolor.pipeline.planning.source_table import read_source_table

HERE = Path()


def read(text: str | bytes, column: str | None = None, folder: Path = HERE) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_source_table(data, folder, column))


@pytest.mark.parametrize(
    "table",
    [
        "id,path,title\n1,a.tif,Ida\n2,b.tif,Otto\n",
        "id;path;title\r\n1;a.tif;Ida\r\n2;b.tif;Otto\r\n",
        "id\tpath\ttitle\n1\ta.tif\tIda\n2\tb.tif\tOtto\n",
        "sep=;\r\nid;path;title\r\n1;a.tif;Ida\r\n2;b.tif;Otto",
        '"id","path","a title, with a comma; and more;;;"\n1,"a.tif","x"\n2,"b.tif","y"\n',
        "path\na.tif\n\nb.tif\n",
        "id,PATH \n1, a.tif\n,\n3\n2,b.tif\n",
    ],
)
def test_delimiters_quotes_and_empty_cells(table: str) -> None:
    assert read(table) == ["a.tif", "b.tif"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_and_without_byte_order_mark(encoding: str) -> None:
    assert read("path,n\nGroßmutter.tif,1\n".encode(encoding)) == ["Großmutter.tif"]


def test_quoted_cells_hold_delimiters_quotes_and_line_ends() -> None:
    assert read('path,n\n"a, ""b"".tif",1\n"c\nd.tif",2\n') == ['a, "b".tif', "c\nd.tif"]


def test_column_is_selected_by_name() -> None:
    table = "File Name,Scan\na.tif,b.tif\n"
    assert read(table, "Scan") == ["b.tif"]
    assert read(table, "scan") == ["b.tif"]
    assert read(table) == ["a.tif"]
    with pytest.raises(UsageError, match="no column film; its columns are File Name, Scan"):
        read(table, "film")
    with pytest.raises(UsageError, match="--column; its columns are x, y"):
        read("x,y\n1,2\n")


def test_relative_paths_begin_at_the_list_and_else_at_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists" / "scans").mkdir(parents=True)
    (tmp_path / "lists" / "scans" / "a.tif").touch()
    (tmp_path / "b.tif").touch()
    monkeypatch.chdir(tmp_path)
    found = read("path\nscans\\a.tif\nb.tif\nnowhere.tif\n", folder=Path("lists"))
    assert found == ["lists/scans/a.tif", "b.tif", "nowhere.tif"]


def test_names_in_windows_1252_and_of_any_bytes_are_found(tmp_path: Path) -> None:
    (tmp_path / "Großmutter.tif").touch()
    raw = os.fsdecode(b"caf\xe9.tif")
    (tmp_path / raw).touch()
    found = read("path\nGroßmutter.tif\n".encode("cp1252"), folder=tmp_path)
    assert found == [str(tmp_path / "Großmutter.tif")]
    assert read(b"path\ncaf\xe9.tif\n", folder=tmp_path) == [str(tmp_path / raw)]


def test_run_takes_a_table(
    tmp_path: Path, command: Callable[..., Any], flat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        Image.new("L", (30, 20), 90).save(tmp_path / f"{name}.png")
    (tmp_path / "list.csv").write_text("Scan;Note\na.png;x\nb.png;y\n")
    table = tmp_path / "list.csv"
    done = command("run", "--from", table, "--column", "Scan", "-m", flat, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.png").exists()
    assert (tmp_path / "out" / "b.png").exists()
    refused = command("run", "--from", table, "-m", flat, "-o", tmp_path / "out")
    assert refused.returncode == 2
    assert "its columns are Scan, Note" in refused.stderr
    assert command("run", "x", "--column", "Scan").returncode == 2
