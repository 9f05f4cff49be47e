"""Rejects terms of the glossary's left column in code, tests and documentation.

The forbidden terms are read from the first table of `docs/glossary.md`. Run it from the root of
the checkout: `python docs/check_terms.py`. Exit code 1 if a term is found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
GLOSSARY = ROOT / "docs" / "glossary.md"
EXEMPT = {"docs/glossary.md", "CHANGELOG.md"}
"""The glossary itself, and the record of released versions."""
SUFFIXES = (".py", ".md", ".html")


def read_forbidden_terms(page: str) -> list[str]:
    """Return the terms of the left column of the first table of a Markdown page."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]*\|$", page.split("\n\n| term |")[0], re.MULTILINE)
    cells = [cell for row in rows if row.strip() != "not" for cell in row.split(",")]
    return [cell.strip() for cell in cells if cell.strip()]


def find_terms(text: str, pattern: re.Pattern[str]) -> list[tuple[int, str]]:
    """Return line number and term of each match; a term may continue on the next line."""
    return [
        (text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()))
        for match in pattern.finditer(text)
    ]


def main() -> int:
    """Print each forbidden term with its place. Return the exit code."""
    terms = read_forbidden_terms(GLOSSARY.read_text(encoding="utf-8"))
    words = "|".join(r"[\s#]+".join(map(re.escape, term.split())) for term in terms)
    pattern = re.compile(rf"(?<![A-Za-z-])(?:{words})(?![A-Za-z-])")
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    found = 0
    for name in sorted(listed):
        if name in EXEMPT or not name.endswith(SUFFIXES) or not (ROOT / name).exists():
            continue
        for line, term in find_terms((ROOT / name).read_text(encoding="utf-8"), pattern):
            print(f"{name}:{line}: “{term}”: see docs/glossary.md")
            found += 1
    print(f"{found} forbidden terms" if found else "no forbidden terms")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
