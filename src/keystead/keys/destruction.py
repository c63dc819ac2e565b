"""The end of keys: destroying those that nothing needs, dropping those that came from elsewhere.

A key's bytes go, what is known of it stays. Whoever calls says what still needs a key (`Needs`),
since values and everything else that refers to keys are known above this capability only.

A key that values still need is destroyed by a quorum or not at all: a request with a reason,
approved by enough of the people that were named before, none of them the requester.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from keystead.access import exchange_policies
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, Invalid, NotFound
from keystead.database.integrity import Fields
from keystead.database.model import check_name
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import held
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.life_cycle import check_reason
from keystead.keys.model import KeyAction, KeyState, Origin, next_state
from keystead.keys.tables import DESTROY_APPROVALS, DESTROY_REQUESTS, QUORUM

# what still needs a key, by name, and how much of it there is; nothing when it can go
Needs = Callable[[Connection, str], Mapping[str, int]]
REQUEST_SECONDS: Final = 7 * 24 * 3600
_THE_QUORUM: Final = "0" * 32


def destroy(
    tx: Connection,
    hierarchy: Hierarchy,
    row: Fields,
    needs: Needs,
    actor: str,
    *,
    at: str | None = None,
) -> Fields:
    """Destroy the bytes of a key that nothing needs, for good.

    Raises:
        IllegalTransition: unless it is deactivated or revoked.
        Conflict: while a job is unfinished, something needs the key, or another instance may still
            get it.
    """
    next_state(row["sys_id"], KeyState(row["state"]), KeyAction.DESTROY)
    refuse_while_needed(tx, hierarchy, row["sys_id"], needs)
    return _destroy(tx, hierarchy, row, actor, at or clock.now())


def drop_key(tx: Connection, hierarchy: Hierarchy, row: Fields, actor: str) -> Fields:
    """Destroy the material of a key received from another instance; the caller proved it unneeded.

    It may be received again.

    Raises:
        Conflict: for a key of this instance's own.
        IllegalTransition: unless it is deactivated.
    """
    if row["origin"] != Origin.IMPORTED:
        raise Conflict("key.own", key=row["sys_id"])
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.DROP)
    changed = held.change(
        tx, hierarchy, row, state=state, material=None, ekek_id=None, destroyed_at=clock.now()
    )
    log.record(tx, actor, "key.drop", row["sys_id"], source=row["source_instance"])
    return changed


def refuse_while_needed(tx: Connection, hierarchy: Hierarchy, key_id: str, needs: Needs) -> None:
    """Refuse while a job is unfinished, something needs a key, or another instance may get it.

    Raises:
        Conflict: naming the job, or what needs it.
    """
    jobs.refuse_while_busy(tx, "The instance", *JobKind)
    promised = exchange_policies.promised(tx, hierarchy.integrity, key_id)
    if promised:
        raise Conflict("key.promised", key=key_id, count=promised)
    found = needs(tx, key_id)
    if found:
        where = ", ".join(f"{name} ({count})" for name, count in found.items())
        raise Conflict("key.needed", key=key_id, count=sum(found.values()), where=where)


def set_quorum(
    tx: Connection, hierarchy: Hierarchy, people: list[str], needed: int, actor: str
) -> Fields:
    """Name the people who may approve a forced destruction, and how many of them it takes.

    Raises:
        Invalid: unless there are at least two to be needed, and so many people.
        Conflict: when a quorum is set already: it is not weakened afterwards.
    """
    names = sorted(set(people))
    for name in names:
        check_name(name, "a person")
    if not 2 <= needed <= len(names):
        raise Invalid("quorum.size", needed=needed, people=len(names))
    if hierarchy.integrity.all(tx, QUORUM):
        raise Conflict("quorum.set")
    hierarchy.integrity.insert(
        tx,
        QUORUM,
        sys_id=_THE_QUORUM,
        needed=needed,
        people=json.dumps(names),
        set_at=clock.now(),
    )
    log.record(tx, actor, "quorum.set", _THE_QUORUM, needed=needed, people=", ".join(names))
    return quorum(tx, hierarchy)


def quorum(tx: Connection, hierarchy: Hierarchy) -> Fields:
    """The quorum; `people` is a list.

    Raises:
        NotFound: when none is set.
    """
    return _decoded(hierarchy.integrity.one(tx, QUORUM, NotFound("quorum.missing")))


def request_destruction(
    tx: Connection, hierarchy: Hierarchy, row: Fields, needs: Needs, reason: str, actor: str
) -> Fields:
    """Ask the quorum to destroy a key although values need it. They cannot be read afterwards.

    Raises:
        IllegalTransition: unless the key is deactivated or revoked.
        Invalid: without a reason.
        NotFound: when no quorum is set.
        Conflict: when a request for the key is open.
    """
    reason = check_reason(reason)
    next_state(row["sys_id"], KeyState(row["state"]), KeyAction.DESTROY)
    set_before = quorum(tx, hierarchy)
    refused = Conflict("destroy.open", key=row["sys_id"])
    for old in hierarchy.integrity.all(
        tx, DESTROY_REQUESTS, DESTROY_REQUESTS.c.open_for == row["sys_id"]
    ):
        if old["expires_at"] > clock.now():
            raise refused
        hierarchy.integrity.update(tx, DESTROY_REQUESTS, old, "the request", open_for=None)
    lost = sum(needs(tx, row["sys_id"]).values())
    try:
        request_id = hierarchy.integrity.insert(
            tx,
            DESTROY_REQUESTS,
            key_id=row["sys_id"],
            open_for=row["sys_id"],
            requester=actor,
            reason=reason,
            lost_values=lost,
            needed=set_before["needed"],
            people=json.dumps(set_before["people"]),
            created_at=clock.now(),
            expires_at=clock.after(REQUEST_SECONDS),
        )
    except IntegrityError:
        raise refused from None
    log.record(tx, actor, "destroy.request", row["sys_id"], request=request_id, lost=lost)
    return destroy_request(tx, hierarchy, request_id)


def approve_destruction(
    tx: Connection, hierarchy: Hierarchy, request_id: str, needs: Needs, actor: str
) -> Fields:
    """Approve a request; the last approval that is needed destroys the key at once.

    Raises:
        Denied: for the requester, for people who were not named, and a second time.
        Conflict: when it is done or too old, more values need the key than were asked for, or a job
            is unfinished.
    """
    request = destroy_request(tx, hierarchy, request_id)
    if request["open_for"] is None or request["expires_at"] <= clock.now():
        raise Conflict("destroy.over", request=request_id)
    if actor == request["requester"] or actor not in request["people"]:
        raise Denied("destroy.denied", person=actor)
    if actor in request["approvers"]:
        raise Denied("destroy.approved", person=actor)
    jobs.refuse_while_busy(tx, "The instance", *JobKind)
    if sum(needs(tx, request["key_id"]).values()) > request["lost_values"]:
        raise Conflict("destroy.more", key=request["key_id"], count=request["lost_values"])
    hierarchy.integrity.insert(
        tx, DESTROY_APPROVALS, request_id=request_id, approver=actor, approved_at=clock.now()
    )
    log.record(tx, actor, "destroy.approve", request["key_id"], request=request_id)
    request = destroy_request(tx, hierarchy, request_id)
    if len(request["approvers"]) < request["needed"]:
        return request
    moment = clock.now()
    _destroy(tx, hierarchy, held.key(tx, hierarchy, request["key_id"]), actor, moment, request_id)
    return destroy_request(tx, hierarchy, request_id)


def destroy_request(tx: Connection, hierarchy: Hierarchy, request_id: str) -> Fields:
    """A request with its `people` and `approvers` as lists.

    Raises:
        NotFound: when there is none of that id.
    """
    missing = NotFound("destroy.missing", request=request_id)
    condition = DESTROY_REQUESTS.c.sys_id == request_id
    return _with_approvers(
        tx, hierarchy, hierarchy.integrity.one(tx, DESTROY_REQUESTS, missing, condition)
    )


def destroy_requests(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every request, oldest first."""
    found = hierarchy.integrity.all(tx, DESTROY_REQUESTS)
    return [_with_approvers(tx, hierarchy, row) for row in found]


def _with_approvers(tx: Connection, hierarchy: Hierarchy, row: Fields) -> Fields:
    condition = DESTROY_APPROVALS.c.request_id == row["sys_id"]
    approvals = hierarchy.integrity.all(tx, DESTROY_APPROVALS, condition)
    return {**_decoded(row), "approvers": [str(a["approver"]) for a in approvals]}


def _decoded(row: Fields) -> dict[str, Any]:
    return {**row, "people": json.loads(row["people"])}


def _destroy(
    tx: Connection,
    hierarchy: Hierarchy,
    row: Fields,
    actor: str,
    moment: str,
    request_id: str | None = None,
) -> Fields:
    state = next_state(row["sys_id"], KeyState(row["state"]), KeyAction.DESTROY)
    destroyed = held.change(
        tx,
        hierarchy,
        row,
        state=state,
        material=None,
        ekek_id=None,
        destroyed_at=moment,
        destroyed_for_good=1,
    )
    condition = DESTROY_REQUESTS.c.open_for == row["sys_id"]
    for request in hierarchy.integrity.all(tx, DESTROY_REQUESTS, condition):
        hierarchy.integrity.update(
            tx, DESTROY_REQUESTS, request, "the request", open_for=None, destroyed_at=moment
        )
    log.record(tx, actor, "key.destroy", row["sys_id"], request=request_id)
    return destroyed
