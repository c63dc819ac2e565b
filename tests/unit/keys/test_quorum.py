"""A key that values need is destroyed by several people, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.base import clock
from keystead.base.errors import (
    Conflict,
    Denied,
    IllegalTransition,
    Invalid,
    KeysteadError,
    NotFound,
    Tampered,
)
from keystead.fields import census
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.tables import DESTROY_REQUESTS

ANN, BEN, EVE, ROOT = "os:ann", "os:ben", "os:eve", "os:root"


class Council:
    """A rotated site, whose old key every value needs, and people who talk about it."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.key_id = site.keys_of("standard")[0]["sys_id"]
        self.needs = census.needs(site.database, site.hierarchy)

    def set(self, needed: int = 2, people: tuple[str, ...] = (ANN, BEN, EVE)) -> None:
        with self.site.transaction() as tx:
            keys.set_quorum(tx, self.site.hierarchy, list(people), needed, ROOT)

    def request(self, by: str = ROOT, reason: str = "court order", key_id: str = "") -> str:
        with self.site.transaction() as tx:
            row = keys.key(tx, self.site.hierarchy, key_id or self.key_id)
            request = keys.request_destruction(tx, self.site.hierarchy, row, self.needs, reason, by)
        return str(request["sys_id"])

    def approve(self, request: str, by: str) -> dict[str, Any]:
        with self.site.transaction() as tx:
            return keys.approve_destruction(tx, self.site.hierarchy, request, self.needs, by)

    def refused(self, family: type[KeysteadError], code: str, act: Any) -> None:
        before = self.site.everything()
        with pytest.raises(family) as caught:
            act()
        assert caught.value.code == code
        assert self.site.everything() == before

    @property
    def state(self) -> str:
        return str(self.site.keys_of("standard")[0]["state"])


@pytest.fixture
def council(rotated) -> Council:
    return Council(rotated)


def test_the_last_approval_destroys(council):
    council.set()
    request = council.request()
    assert council.approve(request, ANN)["destroyed_at"] is None
    assert council.state == "deactivated"
    done = council.approve(request, EVE)
    assert (done["approvers"], done["open_for"]) == ([ANN, EVE], None)
    (row, _) = council.site.keys_of("standard")
    assert (row["state"], row["material"], row["destroyed_for_good"]) == ("destroyed", None, 1)
    assert {shown[1] for shown in council.site.rows()} <= {None, ""}
    counted = council.site.open_all()
    standard = [counted[column] for column in ("name", "city", "salary")]
    assert sum(one.unreadable for one in standard) == done["lost_values"] > 0


def test_who_may_not_approve(council):
    council.set()
    request = council.request(by=ANN)
    council.refused(Denied, "destroy.denied", lambda: council.approve(request, ANN))
    council.refused(Denied, "destroy.denied", lambda: council.approve(request, ROOT))
    council.refused(NotFound, "destroy.missing", lambda: council.approve("ab" * 16, BEN))
    council.approve(request, BEN)
    council.refused(Denied, "destroy.approved", lambda: council.approve(request, BEN))
    assert council.state == "deactivated"
    council.approve(request, EVE)
    council.refused(Conflict, "destroy.over", lambda: council.approve(request, EVE))


def test_what_may_not_be_asked_for(council):
    council.refused(NotFound, "quorum.missing", council.request)
    council.set()
    council.refused(Invalid, "key.reason", lambda: council.request(reason=" "))
    active = council.site.keys_of("standard")[1]["sys_id"]
    council.refused(IllegalTransition, "key.transition", lambda: council.request(key_id=active))
    council.request()
    council.refused(Conflict, "destroy.open", council.request)


@pytest.mark.parametrize(
    ("needed", "people"), [(1, (ANN, BEN)), (2, (ANN,)), (2, (ANN, ANN)), (4, (ANN, BEN, EVE))]
)
def test_a_quorum_of_one_or_of_more_than_there_are(council, needed, people):
    council.refused(Invalid, "quorum.size", lambda: council.set(needed, people))


def test_a_quorum_is_set_once(council):
    council.set(3)
    council.refused(Conflict, "quorum.set", lambda: council.set(2))


def test_an_old_request_is_over_and_another_can_be_made(council):
    council.set()
    request = council.request()
    with council.site.transaction() as tx:
        (row,) = council.site.integrity.all(tx, DESTROY_REQUESTS)
        council.site.integrity.update(tx, DESTROY_REQUESTS, row, "it", expires_at=clock.now())
    council.refused(Conflict, "destroy.over", lambda: council.approve(request, ANN))
    again = council.request()
    council.approve(again, ANN)
    assert council.state == "deactivated"
    council.approve(again, BEN)
    assert council.state == "destroyed"


def test_more_values_than_were_asked_for(council):
    council.set()
    older = council.site.cell("name", "p01")
    council.site.rekey()
    request = council.request()
    council.site.put("name", "p01", older)
    council.refused(Conflict, "destroy.more", lambda: council.approve(request, ANN))


def test_while_a_job_is_unfinished(council):
    council.set()
    request = council.request()
    council.site.start(JobKind.REKEY)
    council.refused(Conflict, "job.busy", lambda: council.approve(request, ANN))


def test_a_key_destroyed_meanwhile_ends_the_request(council):
    council.set()
    request = council.request()
    council.site.rekey()
    with council.site.transaction() as tx:
        row = keys.key(tx, council.site.hierarchy, council.key_id)
        keys.destroy(tx, council.site.hierarchy, row, council.needs, ROOT)
    council.refused(Conflict, "destroy.over", lambda: council.approve(request, ANN))


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("keystead_destroy_quorum", "needed = 0"),
        ("keystead_destroy_quorum", "people = '[\"os:root\"]'"),
        ("keystead_destroy_request", "needed = 1"),
        ("keystead_destroy_request", "people = '[\"os:mallory\"]'"),
        ("keystead_destroy_request", "requester = 'os:ann'"),
        ("keystead_destroy_approval", "approver = 'os:ben'"),
    ],
)
def test_what_was_changed_in_the_file_counts_for_nothing(council, table, change):
    council.set(3)
    request = council.request()
    council.approve(request, ANN)
    council.site.sql(f"UPDATE {table} SET {change}")
    other = council.site.keys_of("equal")[0]["sys_id"]

    def go_on() -> None:
        if table == "keystead_destroy_quorum":
            council.request(key_id=other)
        else:
            council.approve(request, BEN)

    with pytest.raises(Tampered):
        go_on()
    assert council.state == "deactivated"
