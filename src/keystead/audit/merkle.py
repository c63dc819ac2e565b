"""The Merkle tree of RFC 6962 §2.1, as RFC 9162 §2.1 restates it: hashes, proofs, verification.

A *node* is a complete subtree: `(level, index)` stands for the leaves from `index << level` up to,
not with, `(index + 1) << level`. Nodes never change once they are complete, so they are kept: the
leaf that completes some carries their hashes, lowest first (`completed`). Appending and proving
then read O(log n) and O(log² n) kept hashes, and rebuild nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from keystead.base.errors import Tampered
from keystead.crypto.sha256 import sha256

Hash = bytes
Nodes = Callable[[int, int], Hash]
EMPTY_ROOT: Final = sha256(b"")
_LEAF, _NODE = b"\0", b"\1"


def leaf_hash(entry: bytes) -> Hash:
    """The hash of a leaf (RFC 9162 §2.1.1)."""
    return sha256(_LEAF + entry)


def node_hash(left: Hash, right: Hash) -> Hash:
    """The hash of the node above two others (RFC 9162 §2.1.1)."""
    return sha256(_NODE + left + right)


def completed(nodes: Nodes, size: int, leaf: Hash) -> list[Hash]:
    """What `leaf` completes when it comes after `size` others: its own hash, then those above."""
    made = [leaf]
    while size >> (level := len(made) - 1) & 1:
        made.append(node_hash(nodes(level, (size >> level) - 1), made[-1]))
    return made


def completed_by(level: int, index: int) -> int:
    """The number of the leaf, from 0, that completes the node."""
    return ((index + 1) << level) - 1


class Frontier:
    """A growing tree of which only the hashes that are still needed are held."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: dict[int, Hash] = {}

    def append(self, leaf: Hash) -> list[Hash]:
        """Add a leaf; the hashes it completes, lowest first."""
        made = completed(lambda level, _index: self._peaks.pop(level), self.size, leaf)
        self._peaks[len(made) - 1] = made[-1]
        self.size += 1
        return made

    def root(self) -> Hash:
        """The root hash over all leaves so far."""
        found: Hash | None = None
        for level in sorted(self._peaks):
            found = self._peaks[level] if found is None else node_hash(self._peaks[level], found)
        return EMPTY_ROOT if found is None else found


def root(nodes: Nodes, size: int) -> Hash:
    """The root hash over the first `size` leaves."""
    return _span(nodes, 0, size) if size else EMPTY_ROOT


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[Hash]:
    """That leaf `index`, from 0, is among the first `size` (RFC 9162 §2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError("there is no such leaf")
    path: list[Hash] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_span(nodes, middle, end))
            end = middle
        else:
            path.append(_span(nodes, begin, middle))
            begin = middle
    return path[::-1]


def consistency_proof(nodes: Nodes, first: int, second: int) -> list[Hash]:
    """That the first `second` leaves begin with the first `first` (RFC 9162 §2.1.4.1)."""
    if not 0 <= first <= second:
        raise ValueError("the first tree is larger than the second")
    if first in (0, second):
        return []
    path: list[Hash] = []
    begin, end = 0, second
    while end != first:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append(_span(nodes, middle, end))
            end = middle
        else:
            path.append(_span(nodes, begin, middle))
            begin = middle
    if begin:
        path.append(_span(nodes, begin, end))
    return path[::-1]


def verify_inclusion(
    index: int, size: int, leaf: Hash, proof: Sequence[Hash], root_hash: Hash
) -> None:
    """Refuse unless `proof` shows `leaf` at `index` under `root_hash` (RFC 9162 §2.1.3.2).

    Raises:
        Tampered: when it does not.
    """
    fn, sn, found = index, size - 1, leaf
    fits = 0 <= index < size and _are_hashes(leaf, root_hash, *proof)
    for step in proof:
        if sn <= 0:
            fits = False
            break
        if fn & 1 or fn == sn:
            found = node_hash(step, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node_hash(found, step)
        fn, sn = fn >> 1, sn >> 1
    if not fits or sn != 0 or found != root_hash:
        raise Tampered("audit.proof", what=f"entry {index + 1} in a log of {size}")


def verify_consistency(
    first: int, second: int, first_root: Hash, second_root: Hash, proof: Sequence[Hash]
) -> None:
    """Refuse unless `proof` shows that the second tree begins with the first (RFC 9162 §2.1.4.2).

    An empty tree begins every tree: there is nothing to prove, so it is refused like a wrong proof.

    Raises:
        Tampered: when it does not.
    """
    if not _is_consistent(first, second, first_root, second_root, proof):
        raise Tampered("audit.proof", what=f"a log of {second} after one of {first}")


def _is_consistent(
    first: int, second: int, first_root: Hash, second_root: Hash, proof: Sequence[Hash]
) -> bool:
    if not 0 < first <= second or not _are_hashes(first_root, second_root, *proof):
        return False
    if first == second:
        return not proof and first_root == second_root
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    older = newer = path[0]
    for step in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            older, newer = node_hash(step, older), node_hash(step, newer)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            newer = node_hash(newer, step)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and older == first_root and newer == second_root


def _are_hashes(*values: bytes) -> bool:
    """Whether each is as long as a hash: of two that are joined, neither may lend to the other."""
    return all(len(value) == len(EMPTY_ROOT) for value in values)


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


def _span(nodes: Nodes, begin: int, end: int) -> Hash:
    """The hash over the leaves from `begin`; nodes where it can, else the hash above two spans."""
    size = end - begin
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return nodes(level, begin >> level)
    middle = begin + _split(size)
    return node_hash(_span(nodes, begin, middle), _span(nodes, middle, end))
