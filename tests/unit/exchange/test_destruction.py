"""A key that something refers to is not destroyed, unless the quorum says so."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from keystead.access import exchange_policies
from keystead.base.errors import Conflict
from keystead.fields import census
from keystead.jobs import service as jobs
from keystead.jobs.model import UNFINISHED, JobKind, JobState
from keystead.jobs.service import JOBS
from keystead.keys import service as keys

from .pairs import ACTOR, Clock, Network, allow, ask, obtain, specification

DAY = exchange_policies.EXCHANGE_POLICY_SECONDS
COUNCIL = ("os:ann", "os:ben", "os:eve")


def old_key(net: Network) -> str:
    """A deactivated key of `prod` that no value needs."""
    with net.prod.db.snapshot() as tx:
        spec_id = specification(net.prod, "people")
        return str(keys.keys_of(tx, net.prod.hierarchy, spec_id)[0]["sys_id"])


def needs(net: Network) -> keys.Needs:
    return census.needs(net.prod.db, net.prod.hierarchy)


def destroy(net: Network) -> None:
    with net.prod.db.transaction() as tx:
        row = keys.key(tx, net.prod.hierarchy, old_key(net))
        keys.destroy(tx, net.prod.hierarchy, row, needs(net), ACTOR)


def refused(net: Network, code: str) -> None:
    before = net.prod.contents()
    with pytest.raises(Conflict) as error:
        destroy(net)
    assert error.value.code == code
    assert net.prod.contents() == before


def state(net: Network) -> Any:
    with net.prod.db.snapshot() as tx:
        return keys.key(tx, net.prod.hierarchy, old_key(net))["state"]


def promise(net: Network) -> None:
    allow(net.prod, net.test, [specification(net.prod, "people")], "a clone")


def test_what_nothing_refers_to_is_destroyed(net: Network) -> None:
    destroy(net)
    assert state(net) == "destroyed"


def test_what_a_target_may_still_fetch(net: Network) -> None:
    promise(net)
    refused(net, "key.promised")
    request = ask(net.test, net.prod, [specification(net.prod, "people")], "a clone")
    refused(net, "key.promised")
    assert obtain(net, request)["status"] == "Exchange Complete"
    destroy(net)
    assert state(net) == "destroyed"


@pytest.mark.parametrize("how", ["ended", "expired"])
def test_what_none_may_fetch_any_more(net: Network, time: Clock, how: str) -> None:
    promise(net)
    if how == "ended":
        with net.prod.db.transaction() as tx:
            integrity = net.prod.hierarchy.integrity
            exchange_policies.end_exchange_policies(tx, integrity, {"a clone"})
    else:
        time.move(DAY + 1)
    destroy(net)
    assert state(net) == "destroyed"


@pytest.mark.parametrize("kind", JobKind)
@pytest.mark.parametrize("unfinished", UNFINISHED)
def test_while_any_job_is_unfinished(net: Network, kind: JobKind, unfinished: JobState) -> None:
    with net.prod.db.transaction() as tx:
        jobs.create(tx, kind, "anything", {}, ACTOR)
        tx.execute(update(JOBS).values(state=unfinished))
    refused(net, "job.unfinished" if unfinished is JobState.FAILED else "job.busy")


@pytest.mark.parametrize("needed", [2, 3])
def test_the_quorum_may_destroy_it_all_the_same(net: Network, needed: int) -> None:
    promise(net)
    hierarchy = net.prod.hierarchy
    with net.prod.db.transaction() as tx:
        keys.set_quorum(tx, hierarchy, list(COUNCIL), needed, ACTOR)
        row = keys.key(tx, hierarchy, old_key(net))
        asked = keys.request_destruction(tx, hierarchy, row, needs(net), "an order", ACTOR)
    for count, person in enumerate(COUNCIL[:needed], start=1):
        assert state(net) == "deactivated"
        with net.prod.db.transaction() as tx:
            done = keys.approve_destruction(tx, hierarchy, asked["sys_id"], needs(net), person)
        assert len(done["approvers"]) == count
    assert state(net) == "destroyed"
    request = ask(net.test, net.prod, [specification(net.prod, "people")], "a clone")
    obtain(net, request)
    with net.test.db.snapshot() as tx:
        held = {row["sys_id"] for row in keys.all_keys(tx, net.test.hierarchy)}
    assert old_key(net) not in held
