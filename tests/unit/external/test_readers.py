"""Readers at full speed notice nothing of a rotation outside, nor of an EKEK that is rotated."""

from __future__ import annotations

import threading

from tests.unit.conftest import ACTOR
from tests.unit.opened import opened

from keystead.base.secret import REVEAL
from keystead.instance import external_watch

READERS = 4
ROUNDS = 6


def test_no_read_fails_while_wrappings_change(wrapped):
    expected = wrapped.rows()
    stored = wrapped.stored()
    bare = [opened(wrapped, row).reveal(REVEAL) for row in wrapped.keys_of("standard")]
    ended = threading.Event()
    reads, failures = [0] * READERS, []

    def read(at: int) -> None:
        while not ended.is_set():
            try:
                shown = wrapped.show()
                if shown.rows != expected or shown.not_held:
                    failures.append("other rows")
            except Exception as error:
                failures.append(repr(error))
            reads[at] += 1

    readers = [threading.Thread(target=read, args=(at,)) for at in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(ROUNDS):
            wrapped.vendor.rotate()
            wrapped.clock.now += 25
            external_watch.look(wrapped.database, wrapped.hierarchy, wrapped.external, ACTOR)
            assert wrapped.external.rotate_ekek("kms", ACTOR).left == 0
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    print(f"{sum(reads):,} reads of {len(expected)} rows")
    assert failures == []
    assert sum(reads) > ROUNDS * READERS
    assert [opened(wrapped, row).reveal(REVEAL) for row in wrapped.keys_of("standard")] == bare
    assert wrapped.stored() == stored
