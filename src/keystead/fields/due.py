"""Doing what the life-cycle rules of keys have due, with the census to say what needs a key."""

from __future__ import annotations

from keystead.base import clock
from keystead.database.port import Database
from keystead.fields import census
from keystead.keys import schedule
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.schedule import Applied


def apply_rules(database: Database, hierarchy: Hierarchy) -> list[Applied]:
    """Apply the rules of all modules now, and clear the old copies of what was destroyed.

    Raises:
        Tampered: when a key or rule is not as it was written.
        Unavailable: when another program keeps the old copies from being cleared; the rules are
            applied.
    """
    needs = census.needs(database, hierarchy)
    with database.transaction() as tx:
        done = schedule.apply_due(tx, hierarchy, needs, clock.now())
    if any(one.action == "destroy" and one.held_back is None for one in done):
        database.scrub()
    return done
