"""Two at once on the same keys: one key encrypts at most, and exactly one where that is promised.

Both know the same of the keys when they begin. One comes first, and the other is refused with the
reason, unless what he asked for still holds.
"""

from __future__ import annotations

import multiprocessing
import queue
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.concurrency import racers
from tests.concurrency.places import ACTOR, Place, seed
from tests.concurrency.racers import DONE, act_at_random, attempt, look, race

from keystead.adapters.databases import postgresql
from keystead.crypto.envelope import Scheme
from keystead.instance.opening import Instance
from keystead.keys import renewal
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import CAN_ENCRYPT
from keystead.keys.tables import KEYS

TIMES = 12
LONG_AGO, LONGER_AGO = "2020-02-29T12:00:00.000000Z", "2019-02-28T12:00:00.000000Z"
TAKEN, CHANGED = "conflict key.active_exists", "conflict row.changed"
BOTH = (DONE, DONE)
# how the module stands, what two do at once, and what comes of it, whoever is first
RACES: dict[tuple[str, str, str], set[tuple[str, ...]]] = {
    ("active", "rotate", "rotate"): {(CHANGED, DONE)},
    ("active", "rotate", "revoke"): {(CHANGED, DONE)},
    ("active", "revoke", "revoke"): {(CHANGED, DONE)},
    ("active", "rotate", "renew"): {(CHANGED, DONE)},
    ("active", "renew", "renew"): {(CHANGED, DONE)},
    ("active", "rotate", "suspend"): {(CHANGED, DONE)},
    ("active", "revoke", "suspend"): {(CHANGED, DONE)},
    ("active", "rotate", "expire"): {(CHANGED, DONE)},
    ("active", "rotate", "rotate whichever"): {(CHANGED, DONE), BOTH},
    ("active", "rotate whichever", "rotate whichever"): {BOTH},
    ("active", "rotate to the waiting one", "rotate to the waiting one"): {
        (DONE, "illegal_transition key.transition")
    },
    ("active", "rotate to the waiting one", "activate"): {(TAKEN, DONE)},
    ("active", "rotate", "generate"): {(TAKEN, DONE)},
    ("active", "rotate", "generate a waiting one"): {BOTH},
    ("active", "rotate", "encrypt"): {BOTH},
    ("waiting", "generate", "generate"): {(TAKEN, DONE)},
    ("waiting", "generate", "activate"): {(TAKEN, DONE)},
    ("waiting", "activate", "activate the other"): {(TAKEN, DONE)},
    ("waiting", "activate", "activate"): {(TAKEN, DONE)},
    ("suspended", "resume", "generate"): {(TAKEN, DONE)},
    ("suspended", "resume", "activate"): {(TAKEN, DONE)},
    ("suspended", "resume", "resume"): {(TAKEN, DONE)},
    ("suspended", "resume", "revoke"): {(TAKEN, DONE), (CHANGED, DONE)},
    ("suspended", "revoke", "revoke"): {(CHANGED, DONE)},
    ("fresh", "encrypt", "encrypt"): {BOTH},
    ("fresh", "generate", "generate"): {(TAKEN, DONE)},
    ("fresh", "encrypt", "generate"): {(TAKEN, DONE), BOTH},
}
# whoever does one of these leaves no key that encrypts
ENDS = {"suspend", "expire"}


@contextmanager
def opened(place: Place) -> Iterator[Instance]:
    with closing(place.open()) as at:
        yield at


def make_modules(at: Instance, states: dict[str, str]) -> None:
    """Modules whose keys stand so; but for a fresh one, two wait to be activated."""
    with at.database.transaction() as tx:
        for name, state in states.items():
            make_module(tx, at.hierarchy, name, state)


def make_module(tx: Connection, h: Hierarchy, name: str, state: str) -> None:
    keys.create_module(tx, h, name, Scheme.STANDARD, ACTOR)
    keys.publish_module(tx, h, name, ACTOR, first_key=False)
    if state == "fresh":
        return
    if state in {"active", "suspended"}:
        key = keys.generate(tx, h, name, ACTOR)
        dates = {"activated_at": LONGER_AGO, "expires_at": LONG_AGO}
        key = h.integrity.update(tx, KEYS, key, "the key", **dates)
        if state == "suspended":
            keys.suspend(tx, h, key, ACTOR)
    for _ in range(2):
        keys.generate(tx, h, name, ACTOR, waiting=True)


def encrypting(at: Instance) -> Counter[str]:
    """How many keys of each module encrypt."""
    with at.database.snapshot() as tx:
        return Counter(
            keys.module_name(tx, at.hierarchy, row["spec_id"])
            for row in keys.all_keys(tx, at.hierarchy)
            if row["state"] in CAN_ENCRYPT
        )


def check_everything(at: Instance) -> None:
    """Every row and key is as it was written, and every version of a key is there once."""
    with at.database.snapshot() as tx:
        renewal.check(tx, at.hierarchy)
        rows = keys.all_keys(tx, at.hierarchy)
    for spec_id in {row["spec_id"] for row in rows}:
        versions = sorted(row["version"] for row in rows if row["spec_id"] == spec_id)
        assert versions == list(range(1, len(versions) + 1))


def run(kind: str, works: list[tuple[Callable[..., None], tuple[Any, ...]]]) -> Any:
    """Run each work in a thread or a process of its own; what they put into the queue."""
    if kind == "threads":
        results: Any = queue.Queue()
        barrier: Any = threading.Barrier(len(works))
        running: list[Any] = [
            threading.Thread(target=work, args=(*arguments, *_shared(work, barrier), results))
            for work, arguments in works
        ]
    else:
        spawning = multiprocessing.get_context("spawn")
        results, barrier = spawning.Manager().Queue(), spawning.Barrier(len(works))
        running = [
            spawning.Process(target=work, args=(*arguments, *_shared(work, barrier), results))
            for work, arguments in works
        ]
    for one in running:
        one.start()
    for one in running:
        one.join(timeout=120)
        assert not one.is_alive()
    return [results.get() for _ in range(results.qsize())]


def _shared(work: Callable[..., None], barrier: Any) -> tuple[Any, ...]:
    return (barrier,) if work is race else ()


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_one_comes_first(place, kind):
    script = [(f"global.m{number}", found) for number, found in enumerate(RACES)]
    with opened(place) as at:
        make_modules(at, {module: state for module, (state, _, _) in script})
        sides = [[(module, found[side]) for module, found in script] for side in (1, 2)]
        outcomes = defaultdict(list)
        for module, outcome in run(kind, [(race, (place, side)) for side in sides]):
            outcomes[module].append(outcome)

        found, wrong = encrypting(at), {}
        for module, (state, one, other) in script:
            came = tuple(sorted(outcomes[module]))
            ended = len(ENDS & {one, other}) and found[module] == 0
            if came not in RACES[state, one, other] or not (found[module] == 1 or ended):
                wrong[state, one, other] = (came, found[module])
        assert not wrong
        check_everything(at)


STEADY = ["rotate", "rotate whichever", "revoke", "renew", "generate", "encrypt"]
WILD = [*STEADY, "suspend", "resume", "expire", "activate", "generate a waiting one"]
WILD += ["rotate to the waiting one"]


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_whatever_many_do_there_is_one_key(place, kind):
    """Some only replace a key, so there is one at every moment; others also stop and end keys."""
    begun, ended = seed(), threading.Event()
    seen: dict[str, set[int]] = {"global.steady": set(), "global.wild": set()}

    def watch() -> None:
        with opened(place) as watching:
            while not ended.is_set():
                found = encrypting(watching)
                for module, numbers in seen.items():
                    numbers.add(found[module])

    with opened(place) as at:
        make_modules(at, dict.fromkeys(seen, "active"))
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            results = run(
                kind,
                [
                    (act_at_random, (place, module, names, TIMES, f"{begun} {module} {who}"))
                    for module, names in (("global.steady", STEADY), ("global.wild", WILD))
                    for who in range(2)
                ],
            )
        finally:
            ended.set()
            watcher.join(timeout=60)
        assert len(results) == 4 * TIMES
        assert seen["global.steady"] == {1}
        assert seen["global.wild"] <= {0, 1}
        assert {came.split()[0] for _, came in results} <= {
            *(DONE, "conflict", "illegal_transition", "not_found", "there")
        }
        check_everything(at)


@pytest.mark.parametrize("place", ["postgresql", "mariadb"], indirect=True)
@pytest.mark.parametrize("names", [("rotate", "rotate"), ("generate", "generate")])
def test_without_turns_the_tables_alone_allow_one_key(place, names, monkeypatch):
    """As if two servers gave turns that do not know of each other: the second is refused."""
    monkeypatch.setitem(
        postgresql._WRITE, "keystead_begin", "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
    )
    state = "active" if names[0] == "rotate" else "waiting"
    with opened(place) as at, opened(place) as other:
        if place.engine == "mariadb":
            other.database._lock = "another"
        make_modules(at, {"global.m": state})
        known = look(at, "global.m")
        second: list[str] = []
        with at.database.transaction() as tx:
            racers.ACTIONS[names[0]](tx, at.hierarchy, known)
            late = threading.Thread(target=lambda: second.append(attempt(other, names[1], known)))
            late.start()
            late.join(timeout=0.3)
            assert late.is_alive()
        late.join(timeout=60)
        assert second[0].startswith("conflict ")
        assert encrypting(at) == {"global.m": 1}
        check_everything(at)
