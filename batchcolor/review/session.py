"""ReviewSession: what one server knows and does, without HTTP."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchcolor.errors import BatchcolorError, OutputError, ProcessingError, make_printable
from batchcolor.hooks.manager import Plugins
from batchcolor.pipeline.decisions.decision import Decision, InvalidDecisionError
from batchcolor.pipeline.decisions.store import describe_bad_lines
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.review.engine import Engine, add_sidecar
from batchcolor.review.events import Broadcaster
from batchcolor.review.film_clips import FilmClips
from batchcolor.review.film_shots import FilmShots, Shot
from batchcolor.review.items import ReviewItems, describe_decision, describe_item
from batchcolor.review.pending import PendingChanges
from batchcolor.review.remote_access import RemoteAccess
from batchcolor.review.review_files import ReviewFiles
from batchcolor.review.review_item import ReviewItem
from batchcolor.review.thumbnails import Thumbnails
from batchcolor.review.write_job import WriteJob, WriteRequest
from batchcolor.storage.locations import Url

REFERENCE_ID = "reference_id"
"""Key of a decision on the page: the item whose result is the reference."""


class RefusedError(Exception):
    """A request that is answered with a reason. `code` is an HTTP status."""

    def __init__(self, reason: str, code: int = 400) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True)
class Change:
    """A decision for an item, as a page asks for it."""

    item: ReviewItem
    decision: Decision


class ReviewSession:
    """One output folder under review. Thread-safe."""

    def __init__(
        self, output: Path | Url, plugins: Plugins, temporary_space: int | None = None
    ) -> None:
        """`temporary_space` limits the bytes of local copies of remote files; None: half of what
        is free. Raises UsageError."""
        self.plugins = plugins
        self.files = open_files(output, RemoteAccess(temporary_space))
        self.output = self.files.output
        try:
            self.items = ReviewItems(self.files)
        except BaseException:
            self.files.close()
            raise
        self.events = Broadcaster()
        self.thumbnails = Thumbnails(self.files, plugins.readers())
        self.shots = FilmShots(self.files, lambda id_: self.events.send("shots", id=id_))
        self.engine = Engine(self.files, plugins, self.shots)
        self.clips = FilmClips(self.files, plugins)
        self.pending = PendingChanges(self.items, plugins)
        self.writing = WriteJob(plugins, self.events.send)
        self.is_locked = self.files.is_locked()
        self._saving = threading.Lock()
        self._shown_faults = self.files.faults
        self.files.listing.start(self._show_again)

    def close(self) -> None:
        """Ends a write, and what is open on remote storage.

        Raises OutputError where decisions cannot be sent there.
        """
        self.writing.stop()
        self.writing.join()
        self.files.close()

    # ---- what pages show -----------------------------------------------------------------

    def describe(self) -> dict[str, Any]:
        """Everything that a page needs when it opens."""
        items = self.items.all()
        return {
            "title": self.files.title,
            "output": self.files.name,
            "job": self._describe_job(),
            "models": self._describe_models(),
            "locked": self.is_locked,
            "write": self.writing.status,
            "faults": [make_printable(line) for line in self._list_faults()],
            "pending": sorted(item.id for item in self.pending.list()),
            "items": [self._describe_item(item) for item in items],
        }

    def _list_faults(self) -> list[str]:
        return [*self.files.faults, *describe_bad_lines(self.items.store)]

    def find(self, id_: str) -> ReviewItem:
        """The item of an id. Raises RefusedError."""
        item = self.items.get(id_)
        if item is None:
            raise RefusedError("no such picture", 404)
        return item

    def find_shot(self, item: ReviewItem, index: object) -> Shot:
        """A shot of a film. Raises RefusedError, also while the shots are searched."""
        found = self.shots.find(item) if item.is_film else None
        is_number = isinstance(index, int) and not isinstance(index, bool)
        if found is None or not is_number or not 0 <= int(str(index)) < len(found.shots):
            raise RefusedError("no such shot", 404)
        return found.shots[int(str(index))]

    def find_job(self, item: ReviewItem) -> RunSettings:
        """The job of an item; the defaults where it is not recorded."""
        return item.job or RunSettings(sources=(item.entry.source,), output=self.files.location)

    def _describe_item(self, item: ReviewItem) -> dict[str, Any]:
        decision, fault = self._add_sidecar(item, self.items.decision(item))
        values = describe_item(item, decision, self.files)
        if fault:
            values["notes"] = [*values.get("notes", ()), make_printable(fault)]
        if self.pending.has_sidecar(item):
            values["sidecar"] = True
        if "decision" in values:
            values["decision"] = self._name_references(values["decision"])
        return values

    def _name_references(self, decision: dict[str, Any]) -> dict[str, Any]:
        named = self._name_reference(decision)
        if "shots" in named:
            named = {**named, "shots": [self._name_reference(shot) for shot in named["shots"]]}
        return named

    def _name_reference(self, values: dict[str, Any]) -> dict[str, Any]:
        found = self.items.item_of_target(values.get("reference") or "")
        return {**values, REFERENCE_ID: found.id} if found else values

    def _describe_job(self) -> dict[str, Any]:
        if not self.items.jobs:
            return {"recorded": False, "model": "delta", "strength": 1.0, "options": {}}
        job = self.items.jobs[-1]
        return {
            "recorded": True,
            "model": job.model,
            "strength": job.strength,
            "options": dict(job.options),
        }

    def _describe_models(self) -> list[dict[str, Any]]:
        models = []
        for name, owned in self.plugins.colorizers().items():
            if owned.spec.temporal:
                continue  # they keep state between frames, and are chosen for a whole job
            options = getattr(owned.spec.options, "__dataclass_fields__", {})
            models.append({"name": name, "summary": owned.spec.summary, "options": sorted(options)})
        return models

    # ---- decisions -----------------------------------------------------------------------

    def save(self, changes: Sequence[Mapping[str, Any]], client: str) -> list[dict[str, Any]]:
        """Stores decisions: they are on the disk when this returns, and all pages are informed.

        Raises RefusedError, also where the output folder is locked by a job.
        """
        with self._saving:
            self._refuse_if_locked()
            parsed = [self._parse_change(change) for change in changes]
            try:
                self.items.store.append(*(change.decision for change in parsed))
            except OutputError as error:
                raise RefusedError(str(error), 507) from error
            self.files.send_decisions()
            saved = [
                {
                    "id": change.item.id,
                    "decision": self._name_references(
                        describe_decision(self._add_sidecar(change.item, change.decision)[0])
                    ),
                    "pending": self.pending.check(change.item),
                }
                for change in parsed
            ]
        self.events.send("decisions", client=client, changes=saved)
        return saved

    def parse_decision(self, item: ReviewItem, values: object) -> Decision:
        """The decision that a page sends about an item. Raises RefusedError.

        A reference is the id of another item, or one that a stored decision or the sidecar of the
        item names already: a page cannot make the server read other files. What is as in the
        sidecar is left to it.
        """
        if not isinstance(values, dict):
            raise RefusedError("a decision is an object")
        sidecar, _ = self._add_sidecar(item, Decision())
        given = self._place_reference(values, sidecar)
        if given.get("shots") and not item.is_film:
            raise RefusedError("only films have shots")
        if isinstance(shots := given.get("shots"), list | tuple):
            given["shots"] = [
                self._place_reference(shot, sidecar) if isinstance(shot, dict) else shot
                for shot in shots
            ]
        given |= {"source": item.key, "digest": item.entry.edges}
        try:
            return Decision.from_values(given).without(sidecar)
        except InvalidDecisionError as error:
            raise RefusedError(str(error)) from error

    def _add_sidecar(self, item: ReviewItem, decision: Decision) -> tuple[Decision, str]:
        """The decision with what the sidecar beside the source adds, or why it cannot be read."""
        if not self.pending.has_sidecar(item):
            return decision, ""
        try:
            return add_sidecar(item, decision), ""
        except ProcessingError as error:
            return decision, str(error)

    def _place_reference(self, values: dict[str, Any], sidecar: Decision) -> dict[str, Any]:
        """The values of a page with the path of their reference."""
        given = {key: value for key, value in values.items() if key != REFERENCE_ID}
        id_ = values.get(REFERENCE_ID)
        if isinstance(id_, str) and id_:
            chosen = self.find(id_)
            if chosen.target is None:
                raise RefusedError("the reference has no result")
            given["reference"] = chosen.target.relative_to(self.output).as_posix()
        elif given.get("reference") is not None:
            given["reference"] = self._find_known_reference(given["reference"], sidecar)
        return given

    def _find_known_reference(self, shown: object, sidecar: Decision) -> str:
        decisions: list[Decision] = [sidecar, *self.items.store]
        for decision in decisions:
            names = [decision.reference, *(shot.reference for shot in decision.shots)]
            for name in names:
                if name is not None and make_printable(name) == shown:
                    return name
        raise RefusedError("no such reference")

    def _parse_change(self, change: Mapping[str, Any]) -> Change:
        if not isinstance(change, dict) or not isinstance(change.get("id"), str):
            raise RefusedError("a change has an id and a decision")
        item = self.find(change["id"])
        return Change(item, self.parse_decision(item, change.get("decision")))

    # ---- jobs ----------------------------------------------------------------------------

    def write(self) -> int:
        """Starts to write the changes; returns their number. Raises RefusedError."""
        self._refuse_if_locked()
        by_job: dict[RunSettings, set[str]] = {}
        count = 0
        for item in self.pending.list():
            if item.job is None:
                raise RefusedError(
                    f"the job of {make_printable(item.key)} is not recorded, or its source is "
                    f"gone; run `batchcolor run` with its options again"
                )
            by_job.setdefault(item.job, set()).add(item.entry.source)
            count += 1
        try:
            self.files.flush_decisions()
        except OutputError as error:
            raise RefusedError(str(error), 507) from error
        requests = [WriteRequest(job, frozenset(paths)) for job, paths in by_job.items()]
        if requests and not self.writing.start(requests, self._finish_write):
            raise RefusedError("changes are being written already", 409)
        return count

    def _finish_write(self) -> None:
        self.files.refresh_now()
        self.items.refresh()
        self.engine.forget_references()
        self.pending.clear()

    def _show_again(self) -> None:
        """Makes pages load everything again: the remote sources are listed."""
        self.pending.clear()
        self.events.send("reload")

    def check_changes(self) -> None:
        """Informs the pages of what other programs have changed; called every second."""
        if self.writing.is_running:
            return
        self.files.refresh()
        is_locked = self.files.is_locked()
        if is_locked != self.is_locked:
            self.is_locked = is_locked
            self.events.send("locked", locked=is_locked)
        try:
            has_results = self.items.refresh()
            is_changed = has_results | self.items.store.refresh()
        except BatchcolorError:
            return  # the folder is gone for the moment
        if has_results:
            self.engine.forget_references()
        if is_changed:
            self.pending.clear()
        if is_changed or self.files.faults != self._shown_faults:
            self._shown_faults = self.files.faults
            self.events.send("reload")

    def _refuse_if_locked(self) -> None:
        if self.writing.is_running:
            raise RefusedError("changes are being written; wait, or stop it", 409)
        self.is_locked = self.files.is_locked()
        if self.is_locked:
            raise RefusedError("a job is running on this folder; decisions wait for its end", 409)


def open_files(output: Path | Url, access: RemoteAccess) -> ReviewFiles:
    """The files of an output. Raises UsageError."""
    if not isinstance(output, Url):
        return ReviewFiles(output, access)
    from batchcolor.review.remote_review_files import RemoteReviewFiles

    try:
        files = RemoteReviewFiles(output, access)
        files.open()
    except BaseException:
        access.close()
        raise
    return files
