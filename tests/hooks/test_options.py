"""`--set KEY=VALUE` into a model's own dataclass."""

import enum
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import AfterValidator, Field

from batchcolor.errors import UsageError
from batchcolor.hooks.options import describe_options, parse_key_values, parse_options
from batchcolor.hooks.types import ColorizerSpec


class Paper(enum.Enum):
    MATT = "matt"
    GLOSSY = "glossy"


def even(value: int) -> int:
    if value % 2:
        raise ValueError("rows must be even")
    return value


@dataclass(frozen=True)
class Options:
    depth: float = field(default=0.5, metadata={"help": "how deep"})
    steps: int = 3
    warm: bool = False
    tint: Literal["red", "blue"] = "red"
    paper: Paper = Paper.MATT
    file_name: Path | None = None
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    gain: float = field(default=2.0, metadata={"gt": 0, "help": "any"})
    limit: int | None = field(default=None, metadata={"ge": 1, "le": 9})
    levels: Literal[1, 2, "all"] = 1
    rows: Annotated[int, AfterValidator(even)] = 2


SPEC = ColorizerSpec("made", "-", 8, lambda options: None, options=Options)  # type: ignore[arg-type,return-value]


def test_every_type_is_read():
    given = parse_key_values(
        ["depth=0.9", "steps=5", "warm=yes", "tint=blue", "paper=glossy", "file-name=a=b"]
    )
    assert parse_options(SPEC, given) == Options(0.9, 5, True, "blue", Paper.GLOSSY, Path("a=b"))
    assert parse_options(SPEC, {}) == Options()
    assert parse_options(SPEC, {"warm": "off"}) == Options()
    given = parse_key_values(["share=1", "gain=1e-3", "limit=9", "levels=2", "rows=4"])
    assert parse_options(SPEC, given) == Options(share=1, gain=1e-3, limit=9, levels=2, rows=4)


def test_values_of_the_fields_type_are_accepted():
    given = {"depth": 1, "warm": True, "paper": Paper.GLOSSY, "file_name": Path("a"), "limit": None}
    assert parse_options(SPEC, given) == Options(1.0, 3, True, "red", Paper.GLOSSY, Path("a"))
    with pytest.raises(UsageError, match="--set steps=None: must be a whole number"):
        parse_options(SPEC, {"steps": None})


def test_a_check_across_fields_is_a_usage_error():
    @dataclass
    class Pair:
        low: float = 0.0
        high: float = 1.0

        def __post_init__(self):
            if self.low > self.high:
                raise ValueError("low must not be above high")

    spec = ColorizerSpec("pair", "-", 8, lambda options: None, options=Pair)
    with pytest.raises(UsageError, match="options of pair: low must not be above high"):
        parse_options(spec, {"low": "2"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("dept=1", "depth"),
        ("depth=deep", "a number"),
        ("depth=nan", "a number"),
        ("steps=1.5", "a whole number"),
        ("warm=maybe", "true or false"),
        ("tint=green", "red|blue"),
        ("paper=rag", "matt|glossy"),
        ("share=1.5", "--set share=1.5: must be a number from 0 to 1"),
        ("share=-0.1", "a number from 0 to 1"),
        ("share=inf", "a number from 0 to 1"),
        ("gain=0", "must be a number above 0"),
        ("gain=inf", "must be a number above 0"),
        ("limit=10", "must be a whole number from 1 to 9"),
        ("limit=many", "must be a whole number from 1 to 9"),
        ("levels=3", "1|2|all"),
        ("rows=3", "rows must be even"),
    ],
)
def test_an_error_for_a_wrong_key_or_value_names_valid_ones(given, message):
    with pytest.raises(UsageError) as caught:
        parse_options(SPEC, parse_key_values([given]))
    assert message in str(caught.value)


def test_description_has_types_defaults_and_help():
    rows = {row.key: row for row in describe_options(Options)}
    assert (rows["depth"].type, rows["depth"].default, rows["depth"].help) == (
        "float",
        "0.5",
        "how deep",
    )
    assert rows["tint"].type == "red|blue"
    assert "file-name" in rows
    assert (rows["paper"].type, rows["paper"].default) == ("matt|glossy", "matt")
    assert (rows["share"].type, rows["share"].range) == ("float", "from 0 to 1")
    assert (rows["gain"].range, rows["limit"].range) == ("above 0", "from 1 to 9")
    assert (rows["limit"].type, rows["limit"].default) == ("int", "None")
