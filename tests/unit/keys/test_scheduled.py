"""What a serving process does every minute."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

import pytest

from keystead.base import clock
from keystead.fields import due
from keystead.instance import schedules
from keystead.keys import rules
from keystead.keys import service as keys
from keystead.keys.rule_model import Base, Date, Direction, Rule, duration
from keystead.programs import instance as program

ACTOR = "test"


def add(site, rule: Rule) -> None:
    with site.transaction() as tx:
        rules.add_rule(tx, site.hierarchy, "standard", rule, ACTOR)


def wait_until_over(moment: str) -> None:
    while clock.now() <= moment:
        time.sleep(0.01)


def test_what_is_due_is_done_and_the_bytes_are_cleared(rotated, people):
    rotated.rekey()
    old = rotated.keys_of("standard")[0]
    soon = clock.after(0.2)
    add(rotated, Rule(Date.DESTRUCTION, 1, soon))
    wait_until_over(soon)
    (done,) = due.apply_rules(rotated.database, rotated.hierarchy)
    assert (done.key_id, done.action, done.held_back) == (old["sys_id"], "destroy", None)
    assert old["material"].encode() not in rotated.on_disk()
    assert rotated.rows() == people


@pytest.mark.parametrize("tampered", [False, True])
def test_a_serving_process_goes_on_whatever_is_refused(site, monkeypatch, tampered):
    add(site, Rule(Date.EXPIRATION, 1, None, duration("1d"), Direction.AFTER, Base.ACTIVATED))
    if tampered:
        site.sql("UPDATE keystead_key_rule SET amount = 2")
    monkeypatch.setattr(program, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setattr(schedules.Job, "is_due", lambda _job, _now: True)
    rounds = 0
    applied = due.apply_rules

    def counted(*arguments):
        nonlocal rounds
        rounds += 1
        return applied(*arguments)

    monkeypatch.setattr(due, "apply_rules", counted)

    async def serve() -> None:
        running = asyncio.create_task(
            program._run_scheduled(site.instance, SimpleNamespace(leads=True))
        )
        while rounds < 3:
            await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(asyncio.wait_for(serve(), 60))
    with site.snapshot() as tx:
        (row, _) = sorted(keys.all_keys(tx, site.hierarchy), key=lambda r: r["expires_at"] is None)
    assert (row["expires_at"] is None) is tampered
