"""Every proof of every small tree holds, and no other does."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.audit import merkle
from keystead.base.errors import Tampered

LARGEST = 70


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 §2.1.1, as it is written there."""
    if not leaves:
        return merkle.EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return merkle.node_hash(by_definition(leaves[:k]), by_definition(leaves[k:]))


def leaves_of(size: int) -> list[bytes]:
    return [merkle.leaf_hash(b"entry %d" % at) for at in range(size)]


class Kept:
    """A tree grown leaf by leaf, which answers from what it kept."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.frontier = merkle.Frontier()
        self.made = [self.frontier.append(leaf) for leaf in leaves]

    def __call__(self, level: int, index: int) -> bytes:
        return self.made[merkle.completed_by(level, index)][level]


def refused(check: Callable[..., None], *arguments: object) -> None:
    with pytest.raises(Tampered) as error:
        check(*arguments)
    assert error.value.code == "audit.proof"


LEAVES = leaves_of(LARGEST)
KEPT = Kept(LEAVES)
ROOTS = [by_definition(LEAVES[:size]) for size in range(LARGEST + 1)]


def test_roots_are_those_of_the_definition() -> None:
    frontier = merkle.Frontier()
    assert frontier.root() == ROOTS[0]
    for size, leaf in enumerate(LEAVES, start=1):
        frontier.append(leaf)
        assert frontier.root() == ROOTS[size] == merkle.root(KEPT, size)


def test_what_a_leaf_completes_can_be_made_from_what_is_kept() -> None:
    for size, leaf in enumerate(LEAVES):
        assert merkle.completed(KEPT, size, leaf) == KEPT.made[size]


def test_every_inclusion_proof_verifies() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = merkle.inclusion_proof(KEPT, index, size)
            merkle.verify_inclusion(index, size, LEAVES[index], proof, ROOTS[size])


def test_every_consistency_proof_verifies() -> None:
    for second in range(1, LARGEST + 1):
        for first in range(1, second + 1):
            proof = merkle.consistency_proof(KEPT, first, second)
            merkle.verify_consistency(first, second, ROOTS[first], ROOTS[second], proof)


@given(st.data())
def test_an_inclusion_proof_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, LARGEST))
    index = data.draw(st.integers(0, size - 1))
    parts = [LEAVES[index], ROOTS[size], *merkle.inclusion_proof(KEPT, index, size)]
    leaf, root, *proof = _flipped(data, parts)
    refused(merkle.verify_inclusion, index, size, leaf, proof, root)


@given(st.data())
def test_an_inclusion_proof_for_another_place_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, LARGEST))
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-2, LARGEST + 2).filter(lambda at: at != index))
    leaf, proof = LEAVES[index], merkle.inclusion_proof(KEPT, index, size)
    refused(merkle.verify_inclusion, other, size, leaf, proof, ROOTS[size])


@given(st.data())
def test_a_consistency_proof_with_any_bit_changed_is_refused(data: st.DataObject) -> None:
    second = data.draw(st.integers(1, LARGEST))
    first = data.draw(st.integers(1, second))
    parts = [ROOTS[first], ROOTS[second], *merkle.consistency_proof(KEPT, first, second)]
    older, newer, *proof = _flipped(data, parts)
    refused(merkle.verify_consistency, first, second, older, newer, proof)


@given(st.data())
def test_a_proof_of_another_length_is_refused(data: st.DataObject) -> None:
    second = data.draw(st.integers(2, LARGEST))
    first = data.draw(st.integers(1, second - 1))
    included = merkle.inclusion_proof(KEPT, first - 1, second)
    consistent = merkle.consistency_proof(KEPT, first, second)
    at = data.draw(st.integers(0, len(consistent)))
    extra = data.draw(st.binary(min_size=32, max_size=32))
    leaf = LEAVES[first - 1]
    for proof in ([*included, extra], [extra, *included], included[1:], included[:-1]):
        refused(merkle.verify_inclusion, first - 1, second, leaf, proof, ROOTS[second])
    longer = [*consistent[:at], extra, *consistent[at:]]
    for proof in (longer, consistent[1:], consistent[:-1], []):
        refused(merkle.verify_consistency, first, second, ROOTS[first], ROOTS[second], proof)


def test_an_empty_tree_proves_nothing_but_itself() -> None:
    refused(merkle.verify_inclusion, 0, 0, ROOTS[1], [], ROOTS[1])
    refused(merkle.verify_consistency, 0, 0, ROOTS[0], ROOTS[0], [])
    refused(merkle.verify_consistency, 0, 3, ROOTS[0], ROOTS[3], [])
    refused(merkle.verify_consistency, 3, 2, ROOTS[3], ROOTS[2], [])
    with pytest.raises(ValueError, match="no such leaf"):
        merkle.inclusion_proof(KEPT, 3, 3)
    with pytest.raises(ValueError, match="larger"):
        merkle.consistency_proof(KEPT, 3, 2)


def test_a_hash_of_another_length_is_refused() -> None:
    left, right = ROOTS[2][:16], ROOTS[2][16:]
    refused(merkle.verify_inclusion, 0, 1, b"", [], b"")
    refused(merkle.verify_consistency, 1, 1, b"", b"", [])
    joined = merkle.node_hash(left, right + ROOTS[1])
    refused(merkle.verify_inclusion, 0, 2, left, [right + ROOTS[1]], joined)


def test_a_leaf_is_no_node() -> None:
    left, right = leaves_of(2)
    assert merkle.leaf_hash(left + right) != merkle.node_hash(left, right)


def test_a_million_entries_are_proven_from_few_kept_hashes() -> None:
    size = 1_000_003

    reads: list[int] = []

    def nodes(level: int, _index: int) -> bytes:
        """A tree of equal leaves, so that a node depends on its level alone."""
        reads.append(level)
        return levels[level]

    levels = [merkle.leaf_hash(b"same")]
    while len(levels) < 21:
        levels.append(merkle.node_hash(levels[-1], levels[-1]))
    root = merkle.root(nodes, size)
    reads.clear()
    for index in (0, size - 1, random.randrange(size)):
        proof = merkle.inclusion_proof(nodes, index, size)
        merkle.verify_inclusion(index, size, levels[0], proof, root)
    for first in (1, 999_999, random.randrange(1, size)):
        proof = merkle.consistency_proof(nodes, first, size)
        merkle.verify_consistency(first, size, merkle.root(nodes, first), root, proof)
    assert len(reads) < 6 * 3 * 20


def _flipped(data: st.DataObject, parts: list[bytes]) -> list[bytes]:
    whole = bytearray(b"".join(parts))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    return [bytes(whole[at : at + 32]) for at in range(0, len(whole), 32)]
