"""What a packed output holds: results, and members of the sources that are no pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from batchcolor.images.scan import is_expected_name
from batchcolor.pipeline.planning.sources import Root
from batchcolor.storage.journal import RESULTS, Journal
from batchcolor.storage.remote.packed_output import OtherMember, PackedMember, list_results


def list_members(roots: Sequence[Root], journal: Journal) -> Iterator[PackedMember]:
    """Yields the members in the order of archives that are sources, then the other results.

    A picture that failed has no member; of a single archive, everything that is no picture is
    copied.
    """
    packed = set()
    is_single = len(roots) == 1
    for root in roots:
        remote = root.remote
        if remote is None or remote.store.is_concurrent:
            continue
        for found in remote.list():
            entry = journal.find_target(remote.mount.folder.joinpath(*found.key.split("/")))
            if entry is not None and entry.outcome in RESULTS:
                packed.add(entry.target)
                yield Path(entry.target)
            elif entry is None and is_single and not is_expected_name(found.key):
                yield OtherMember(found, remote.store)
    for path in list_results(journal):
        if str(path) not in packed:
            yield path
