"""The state of a review without HTTP: folders that vanish, and writes that fail at their end."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from batchcolor.hooks.manager import load_plugins
from batchcolor.review.session import RefusedError, ReviewSession
from batchcolor.review.write_job import WriteJob


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(False)


def test_a_folder_that_was_removed_is_not_made_anew(results, plugins):
    session = ReviewSession(results, plugins)
    shutil.rmtree(results)
    session.check_changes()
    assert session.is_locked is False
    assert not results.exists()


def test_pages_learn_of_the_end_of_a_write_whatever_happens(plugins):
    events = []
    job = WriteJob(plugins, lambda kind, **values: events.append((kind, values)))

    def fail() -> None:
        raise OSError("the disk is gone")

    assert job.start([], fail)
    job.join()
    assert job.status["running"] is False
    assert "the disk is gone" in job.status["message"]
    assert events[-1] == ("reload", {})


def test_the_page_shows_decisions_and_what_sidecars_add_to_them(results, plugins):
    session = ReviewSession(results, plugins)
    item = next(item for item in session.items.all() if item.key == "001.jpg")
    hints = [{"points": [[5, 5]], "color": "#a06060"}]
    values = {"strength": 0.5, "reference": "../elsewhere.png", "hints": hints}
    sidecar = item.source.with_suffix(".batchcolor.json")
    sidecar.write_text(json.dumps(values))
    session.pending.clear()

    def shown() -> dict[str, Any]:
        return next(it for it in session.describe()["items"] if it["id"] == item.id)

    assert shown()["sidecar"] is True
    decision = shown()["decision"]
    assert (decision["strength"], len(decision["hints"])) == (0.5, 1)
    changed = {**decision, "strength": 0.8, "state": "approved"}
    (saved,) = session.save([{"id": item.id, "decision": changed}], "test")
    assert saved["decision"] == shown()["decision"] == {**decision, **changed}
    stored = session.items.decision(item).model_dump(exclude_defaults=True)
    assert stored.keys() - {"source", "digest", "time"} == {"strength", "state"}
    (saved,) = session.save([{"id": item.id, "decision": {}}], "test")
    assert saved["decision"] == decision
    with pytest.raises(RefusedError, match="no such reference"):
        session.parse_decision(item, {"reference": "/etc/hostname"})

    sidecar.write_text("damaged")
    assert "decision" not in shown()
    assert any("001.batchcolor.json" in note for note in shown()["notes"])
