"""The tags of a film state its colours; the newest mark counts, and nothing else is lost."""

import json
from dataclasses import replace

import av
import pytest

from batchcolor.hooks.types import COMPOSITE_WITH_AI
from batchcolor.images.provenance_marks.provenance import Provenance
from batchcolor.video.film_mark import COMMENT_ONLY, FILM_TAGS, add_film_mark, read_film_mark

MARK = Provenance(COMPOSITE_WITH_AI, "delta", "ab" * 32, "père.mp4", "cd" * 32, {"strength": 0.8})
USED = [(), ("COMMENT",), ("description",), ("comment", "Description", "synopsis")]


@pytest.mark.parametrize("taken", [(), ("COMMENT",), ("comment", "Description", "synopsis")])
def test_the_tags_of_a_film_keep_what_they_have(taken):
    tags = dict.fromkeys(taken, "Filmed by uncle Karl")

    add_film_mark(tags, MARK)

    assert read_film_mark(tags) == MARK
    assert all(tags[name].startswith("Filmed by uncle Karl") for name in taken)
    assert read_film_mark(dict.fromkeys(taken, "Filmed by uncle Karl")) is None


@pytest.mark.parametrize("usable", [FILM_TAGS, COMMENT_ONLY])
@pytest.mark.parametrize("taken", USED)
def test_the_newest_of_several_marks_counts(taken, usable):
    tags = dict.fromkeys(taken, "Filmed by uncle Karl")
    for number in range(6):
        mark = replace(MARK, source=f"{number}.mp4")
        add_film_mark(tags, mark, usable)
        assert read_film_mark(tags) == mark
        assert sum(value.count("Colours computed by") for value in tags.values()) == number + 1


@pytest.mark.parametrize("taken", USED)
def test_the_newest_mark_counts_where_each_run_used_a_tag_of_its_own(taken):
    """Earlier versions used every free tag, then appended to the comment."""
    tags = dict.fromkeys((name.lower() for name in taken), "Filmed by uncle Karl")
    for number in range(6):
        mark, line = replace(MARK, source=f"{number}.mp4"), {}
        add_film_mark(line, mark)
        free = next((name for name in FILM_TAGS if name not in tags), None)
        if free:
            tags[free] = line["comment"]
        else:
            tags["comment"] += "\n" + line["comment"]
        assert read_film_mark(tags) == mark
    add_film_mark(tags, MARK)
    assert read_film_mark(tags) == MARK


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_film_that_is_coloured_again_states_the_last_run(
    command, flat, make_clip, tmp_path, suffix
):
    def add_comment(film):
        film.metadata["comment"] = "reel 3"

    source = make_clip(tmp_path / f"film.{suffix}", frames=2, prepare=add_comment)
    for number in range(1, 5):
        out = tmp_path / str(number)
        done = command(
            "run", source, "-o", out, "-m", flat, "--strength", f"0.{number}", "--include-results"
        )
        assert done.returncode == 0, done.stderr
        source = out / source.name
        document = json.loads(command("info", source, "--json").stdout)
        assert document["settings"]["strength"] == number / 10
    with av.open(str(source)) as film:
        tags = {name.lower(): value for name, value in film.metadata.items()}
    assert tags["comment"].startswith("reel 3")
