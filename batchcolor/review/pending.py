"""Which results differ from what is decided about them: those that a write would make again."""

from __future__ import annotations

import threading

from batchcolor.errors import BatchcolorError
from batchcolor.hooks.manager import Plugins
from batchcolor.images.companion_files import DECISION_SUFFIX, CompanionFinder
from batchcolor.pipeline.decisions.corrections import Corrections
from batchcolor.pipeline.options.fingerprint import canonical_options
from batchcolor.pipeline.options.settings import RunSettings
from batchcolor.review.items import ReviewItems
from batchcolor.review.review_item import ReviewItem


class PendingChanges:
    """Compares decisions with the journal. Thread-safe."""

    def __init__(self, items: ReviewItems, plugins: Plugins) -> None:
        self._items, self._plugins = items, plugins
        self._corrections: dict[RunSettings, Corrections] = {}
        self._known: dict[str, tuple[str, bool]] = {}
        """By id: what was compared, and whether it differed."""
        self._companions = CompanionFinder()
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Compares everything again."""
        with self._lock:
            self._known.clear()
            self._corrections.clear()
            self._companions = CompanionFinder()

    def list(self) -> list[ReviewItem]:
        """The items whose results are not as decided."""
        return [item for item in self._items.all() if self.check(item)]

    def has_sidecar(self, item: ReviewItem) -> bool:
        """Whether a decision lies beside the source of an item."""
        return self._companions.find(item.source, DECISION_SUFFIX) is not None

    def check(self, item: ReviewItem) -> bool:
        """Whether the result of an item is not as decided."""
        decision = self._items.decision(item)
        is_plain = not decision.changes_colors and decision.state != "rejected"
        if is_plain and not item.entry.decision and not self.has_sidecar(item):
            return False
        state = f"{decision.as_line()!r} {item.entry.decision} {item.entry.settings}"
        with self._lock:
            known = self._known.get(item.id)
            if known is None or known[0] != state:
                known = (state, self._differs(item))
                self._known[item.id] = known
        return known[1]

    def _differs(self, item: ReviewItem) -> bool:
        if item.job is None:
            return False
        try:
            if item.job not in self._corrections:
                spec = self._plugins.find(item.job.model).spec
                options = canonical_options(spec, dict(item.job.options))
                self._corrections[item.job] = Corrections(
                    item.job, self._plugins, self._items.store, options
                )
            found = self._items.files.find_source(item, self._plugins.readers())
            correction = self._corrections[item.job].find(found, item.key)
        except BatchcolorError:
            return False  # the source or the model is gone
        return correction.digest != item.entry.decision
