"""NameOwners: which source has which name, in about 45 bytes a name instead of two texts.

Jobs have millions of names, and all are kept until the end of the job.
"""

from __future__ import annotations

from hashlib import blake2b

DIGEST_SIZE = 16
"""Bytes of a digest. Digests of 10 million names have a collision with a probability of 1e-25,
less than that of an error in memory, and no method is known to construct one."""
RECORD_SIZE = 2 * DIGEST_SIZE
BUCKETS = 2**14


class NameOwners:
    """The owner of each name."""

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}
        """Records of the digest of a name and that of its owner, one after the other: about 60 in
        each bucket for a million names, so a search takes no more time than a digest."""

    def __contains__(self, name: str) -> bool:
        """Whether a name has an owner."""
        digest = _digest(name)
        return digest in self._bucket(digest)

    def is_free(self, name: str, owner: str) -> bool:
        """Whether a name has no owner yet, or this one."""
        digest = _digest(name)
        bucket = self._bucket(digest)
        start = bucket.find(digest)
        first = bucket[start + DIGEST_SIZE : start + RECORD_SIZE]
        return start < 0 or first == _digest(owner, b"owner")

    def add(self, name: str, owner: str) -> None:
        """Gives an owner to a name that has none; a name keeps its first owner."""
        digest = _digest(name)
        bucket = self._bucket(digest)
        if digest not in bucket:
            bucket += digest + _digest(owner, b"owner")

    def _bucket(self, digest: bytes) -> bytearray:
        return self._buckets.setdefault(int.from_bytes(digest[:2]) % BUCKETS, bytearray())


def _digest(text: str, kind: bytes = b"name") -> bytes:
    """The digest of a name or, of another kind, of an owner: one is never taken for the other."""
    data = text.encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=DIGEST_SIZE, person=kind).digest()
