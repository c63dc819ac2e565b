"""Who does things to keys at the same moment as another, in a thread or a process of his own."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Connection
from tests.concurrency.places import ACTOR, Place

from keystead.base.errors import KeysteadError
from keystead.database.integrity import Fields
from keystead.instance.opening import Instance
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import CAN_ENCRYPT, KeyState

DONE = "done"


class Known(NamedTuple):
    """What somebody knows of a module before he acts: its id of specification and its keys."""

    module: str
    spec_id: str
    keys: list[Fields]

    def key(self, *states: KeyState, at: int = 0) -> Fields:
        return [row for row in self.keys if row["state"] in states][at]


Action = Callable[[Connection, Hierarchy, Known], Any]
WAITING, SUSPENDED = KeyState.GENERATED, KeyState.SUSPENDED
ACTIONS: dict[str, Action] = {
    "rotate": lambda tx, h, known: keys.rotate(
        tx, h, known.module, ACTOR, old=known.key(*CAN_ENCRYPT)
    ),
    "rotate to the waiting one": lambda tx, h, known: keys.rotate(
        tx,
        h,
        known.module,
        ACTOR,
        to=known.key(WAITING)["sys_id"],
        old=known.key(*CAN_ENCRYPT),
    ),
    "rotate whichever": lambda tx, h, known: keys.rotate(tx, h, known.module, ACTOR),
    "generate": lambda tx, h, known: keys.generate(tx, h, known.module, ACTOR),
    "generate a waiting one": lambda tx, h, known: keys.generate(
        tx, h, known.module, ACTOR, waiting=True
    ),
    "revoke": lambda tx, h, known: keys.revoke(
        tx, h, known.key(*CAN_ENCRYPT, SUSPENDED), "it leaked", ACTOR
    ),
    "renew": lambda tx, h, known: keys.renew(tx, h, known.key(*CAN_ENCRYPT), ACTOR),
    "expire": lambda tx, h, known: keys.expire(tx, h, known.key(*CAN_ENCRYPT), ACTOR),
    "suspend": lambda tx, h, known: keys.suspend(tx, h, known.key(*CAN_ENCRYPT), ACTOR),
    "resume": lambda tx, h, known: keys.resume(tx, h, known.key(SUSPENDED), ACTOR),
    "activate": lambda tx, h, known: keys.activate(tx, h, known.key(WAITING), ACTOR),
    "activate the other": lambda tx, h, known: keys.activate(
        tx, h, known.key(WAITING, at=1), ACTOR
    ),
    "encrypt": lambda tx, h, known: keys.encrypting_key(tx, h, known.spec_id, ACTOR),
}


def look(at: Instance, module: str) -> Known:
    """The keys of a module as they stand."""
    with at.database.snapshot() as tx:
        row, spec = keys.published_specification(tx, at.hierarchy, module)
        return Known(row["name"], spec["sys_id"], keys.keys_of(tx, at.hierarchy, spec["sys_id"]))


def attempt(at: Instance, name: str, known: Known) -> str:
    """Do it in a transaction: `done`, or the family and code of the refusal."""
    try:
        with at.database.transaction() as tx:
            ACTIONS[name](tx, at.hierarchy, known)
    except KeysteadError as error:
        return f"{error.family} {error.code}"
    except IndexError:
        return "there is no such key"
    return DONE


def race(place: Place, script: list[tuple[str, str]], barrier: Any, results: Any) -> None:
    """Do one thing to each module, at the same moment as the other, who knows as much."""
    at = place.open()
    try:
        for module, name in script:
            known = look(at, module)
            barrier.wait(60)
            results.put((module, attempt(at, name, known)))
            barrier.wait(60)
    finally:
        at.close()


def act_at_random(
    place: Place, module: str, names: list[str], times: int, seed: str, results: Any
) -> None:
    """Do one thing after the other, chosen by chance."""
    chance = random.Random(seed)
    at = place.open()
    try:
        for _ in range(times):
            name = chance.choice(names)
            results.put((name, attempt(at, name, look(at, module))))
    finally:
        at.close()
