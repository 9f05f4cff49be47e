"""Rejects terms of the glossary's left columns in code, tests and documentation.

The forbidden terms are read from the first table of `docs/glossary.md`, forbidden names of
functions, classes, parameters and fields from the second. Run it from the root of the checkout:
`python docs/check_terms.py`. Exit code 1 if a term is found.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
EXEMPT = {"docs/glossary.md", "CHANGELOG.md"}
"""The glossary itself, and the record of released versions."""
SUFFIXES = (".py", ".md", ".html")


TERMS_HEAD, NAMES_HEAD = "| not | but |", "| not this name | but |"


def read_left_column(page: str, head: str) -> list[str]:
    """Returns the comma-separated terms in the left column of the table with the line `head`."""
    _, _, table = page.partition(f"\n{head}\n")
    rows = re.findall(r"^\| ([^|]+) \| [^|]*\|$", table.split("\n\n")[0], re.MULTILINE)
    return [term.strip() for row in rows for term in row.split(",") if term.strip()]


def find_terms(text: str, pattern: re.Pattern[str]) -> list[tuple[int, str]]:
    """Return line number and term of each match; a term may continue on the next line."""
    return [
        (text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()))
        for match in pattern.finditer(text)
    ]


def find_names(source: str, names: set[str]) -> list[tuple[int, str]]:
    """Returns line number and name of each definition with one of the names."""
    found = []
    for node in ast.walk(ast.parse(source)):
        name = ""
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        if name.lstrip("_") in names:
            found.append((node.lineno, name))
    return found


def main() -> int:
    """Prints each forbidden term with its place. Returns the exit code."""
    page = GLOSSARY.read_text(encoding="utf-8")
    words = "|".join(
        r"[\s#]+".join(map(re.escape, term.split())) for term in read_left_column(page, TERMS_HEAD)
    )
    pattern = re.compile(rf"(?<![A-Za-z-])(?:{words})(?![A-Za-z-])")
    names = set(read_left_column(page, NAMES_HEAD))
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    count = 0
    for path in sorted(listed):
        if path in EXEMPT or not path.endswith(SUFFIXES) or not (ROOT / path).exists():
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        found = find_terms(text, pattern)
        if path.endswith(".py"):
            found += find_names(text, names)
        for line, term in found:
            print(f"{path}:{line}: “{term}”: see docs/glossary.md")
        count += len(found)
    print(f"{count} forbidden terms" if count else "no forbidden terms")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
