"""The check of terms and names against the glossary."""

import importlib.util
import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "docs" / "check_terms.py"


@pytest.fixture(scope="module")
def checker():
    spec = importlib.util.spec_from_file_location("check_terms", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page():
    return (SCRIPT.parent / "glossary.md").read_text(encoding="utf-8")


def test_both_tables_of_the_glossary_are_read(checker, page):
    terms = checker.read_left_column(page, checker.TERMS_HEAD)
    names = checker.read_left_column(page, checker.NAMES_HEAD)
    assert {"Picture" + "Error", "Target" + "LostError"}.issubset(terms)
    assert {"take_up", "Passed"}.issubset(names)


def test_a_term_is_found_across_a_line_break(checker):
    pattern = re.compile(r"old[\s#]+term")
    assert checker.find_terms("this is an old\n# term here", pattern) == [(1, "old # term")]


@pytest.mark.parametrize(
    "source",
    ["def tell(): ...", "def _tell(): ...", "class tell: ...", "def f(tell): ...", "tell: int = 1"],
)
def test_names_are_found_where_they_are_defined(checker, source):
    assert [name.strip("_") for _, name in checker.find_names(source, {"tell"})] == ["tell"]


def test_other_uses_of_a_name_are_no_definition(checker):
    assert checker.find_names("tell = 1\nprint(tell)\nfile.tell()", {"tell"}) == []
