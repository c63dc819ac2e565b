"""Record ids ascend, do not repeat and have the layout of UUID version 7; key ids are random."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from uuid import RFC_4122, UUID

import pytest

from keystead.base import ids

MOMENT = 1_772_366_400_123  # in milliseconds


@pytest.fixture
def nanoseconds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What the clock says, in a list of one; ids begin anew with it."""
    now = [MOMENT * 1_000_000]
    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=lambda: now[0]))
    monkeypatch.setattr(ids, "_last", 0)
    return now


def millisecond(record_id: str) -> int:
    return int(record_id[:12], 16)


def is_well_formed(record_id: str) -> bool:
    uuid = UUID(hex=record_id)
    return (
        re.fullmatch("[0-9a-f]{32}", record_id) is not None
        and uuid.version == 7
        and uuid.variant == RFC_4122
    )


def test_form() -> None:
    made = [ids.new_id(), *ids.new_ids(5000)]
    assert all(map(is_well_formed, made))


def test_ascending_and_unique() -> None:
    made = [ids.new_id() for _ in range(1000)]
    for count in (0, 1, 2, 5000, 1, 3):
        batch = ids.new_ids(count)
        assert len(batch) == count
        made += batch
    assert made == sorted(set(made))


def test_time_is_in_front(nanoseconds: list[int]) -> None:
    assert millisecond(ids.new_id()) == MOMENT
    nanoseconds[0] += 5_000_000
    assert millisecond(ids.new_id()) == MOMENT + 5


def test_clock_that_stands_still(nanoseconds: list[int]) -> None:
    made = [ids.new_id() for _ in range(5000)]
    assert made == sorted(set(made))
    assert all(map(is_well_formed, made))
    assert millisecond(made[0]) == MOMENT
    assert millisecond(made[-1]) > MOMENT  # 4096 fit into one millisecond; the next is borrowed


def test_clock_that_goes_back(nanoseconds: list[int]) -> None:
    made = [ids.new_id()]
    for _ in range(100):
        nanoseconds[0] -= 3_600_000_000_000
        made += ids.new_ids(3)
    assert made == sorted(set(made))


def test_the_tail_is_random(nanoseconds: list[int]) -> None:
    tails = {each[16:] for each in ids.new_ids(5000)}
    assert len(tails) == 5000
    bits = [f"{int(tail, 16):064b}" for tail in tails]
    assert {text[:2] for text in bits} == {"10"}
    for at in range(2, 64):
        assert {text[at] for text in bits} == {"0", "1"}, at


def test_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held = []

    def time_ns() -> int:
        held.append(ids._lock.locked())
        return MOMENT * 1_000_000

    monkeypatch.setattr(ids, "time", SimpleNamespace(time_ns=time_ns))
    ids.new_id()
    ids.new_ids(3)
    assert held == [True, True]


def test_across_threads() -> None:
    """Each thread sees its ids ascend, and no two threads get the same."""
    threads = 8
    together = threading.Barrier(threads)

    def work(number: int) -> list[str]:
        together.wait()
        made: list[str] = []
        for turn in range(200):
            made += ids.new_ids(turn % 7) if number % 2 else [ids.new_id()]
        return made

    with ThreadPoolExecutor(threads) as pool:
        per_thread = list(pool.map(work, range(threads)))
    for made in per_thread:
        assert made == sorted(made)
    everything = [each for made in per_thread for each in made]
    assert len(everything) == 4 * 200 + 4 * sum(turn % 7 for turn in range(200))
    stamps = {each[:16] for each in everything}
    assert len(stamps) == len(everything)


def test_key_ids() -> None:
    made = [ids.new_key_id() for _ in range(1000)]
    assert {len(each) for each in made} == {16}
    assert len(set(made)) == 1000
