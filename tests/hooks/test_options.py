"""`--set KEY=VALUE` into a model's own dataclass."""

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from batchcolor.errors import UsageError
from batchcolor.hooks.options import describe_options, parse_key_values, parse_options
from batchcolor.hooks.types import ColorizerSpec


class Paper(enum.Enum):
    MATT = "matt"
    GLOSSY = "glossy"


@dataclass
class Options:
    depth: float = field(default=0.5, metadata={"help": "how deep"})
    steps: int = 3
    warm: bool = False
    tint: Literal["red", "blue"] = "red"
    paper: Paper = Paper.MATT
    file_name: Path | None = None


SPEC = ColorizerSpec("made", "-", 8, lambda options: None, options=Options)  # type: ignore[arg-type,return-value]


def test_every_type_is_read():
    given = parse_key_values(
        ["depth=0.9", "steps=5", "warm=yes", "tint=blue", "paper=glossy", "file-name=a=b"]
    )
    assert parse_options(SPEC, given) == Options(0.9, 5, True, "blue", Paper.GLOSSY, Path("a=b"))
    assert parse_options(SPEC, {}) == Options()
    assert parse_options(SPEC, {"warm": "off"}) == Options()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("dept=1", "depth"),
        ("depth=deep", "float"),
        ("depth=nan", "float"),
        ("steps=1.5", "int"),
        ("warm=maybe", "bool"),
        ("tint=green", "red|blue"),
        ("paper=rag", "matt|glossy"),
    ],
)
def test_wrong_keys_and_values_say_what_would_be_right(given, words):
    with pytest.raises(UsageError) as caught:
        parse_options(SPEC, parse_key_values([given]))
    assert words in str(caught.value)


def test_description_has_types_defaults_and_help():
    rows = {row.key: row for row in describe_options(Options)}
    assert (rows["depth"].type, rows["depth"].default, rows["depth"].help) == (
        "float",
        "0.5",
        "how deep",
    )
    assert rows["tint"].type == "red|blue"
    assert "file-name" in rows
