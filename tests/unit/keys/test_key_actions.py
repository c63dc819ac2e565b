"""What can be done to a key in each state, what is written, and what never is."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.opened import opened

from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import (
    Conflict,
    IllegalTransition,
    Invalid,
    KeysteadError,
    NotFound,
    Tampered,
)
from keystead.crypto.envelope import Scheme
from keystead.crypto.wrap import new_key
from keystead.fields import census
from keystead.jobs.model import JobKind
from keystead.keys import model, received
from keystead.keys import service as keys
from keystead.keys.model import KEY_TRANSITIONS, KeyAction, KeyState, Origin
from keystead.keys.tables import KEYS

ACTOR = "test"
LONG_AGO = "2020-02-29T12:00:00.000000Z"
NOTHING_NEEDS_IT: dict[str, int] = {}


def put_into(site, key: dict[str, Any], state: KeyState, **fields: Any) -> dict[str, Any]:
    """A key as it is kept in a state."""
    kept = {
        "state": state,
        "active_of": key["spec_id"] if state in model.CAN_ENCRYPT else None,
        "material": None if state is KeyState.DESTROYED else key["material"],
        "expires_at": LONG_AGO,
        "activated_at": "2019-02-28T12:00:00.000000Z",
        **fields,
    }
    with site.transaction() as tx:
        return site.integrity.update(tx, KEYS, key, "the key", **kept)


def act(site, action: KeyAction, row: dict[str, Any]) -> Any:
    h = site.hierarchy
    does: dict[KeyAction, Callable[[Any], Any]] = {
        KeyAction.ACTIVATE: lambda tx: keys.activate(tx, h, row, ACTOR),
        KeyAction.ROTATE: lambda tx: keys.rotate(tx, h, "standard", ACTOR),
        KeyAction.SUSPEND: lambda tx: keys.suspend(tx, h, row, ACTOR),
        KeyAction.RESUME: lambda tx: keys.resume(tx, h, row, ACTOR),
        KeyAction.RENEW: lambda tx: keys.renew(tx, h, row, ACTOR),
        KeyAction.REVOKE: lambda tx: keys.revoke(tx, h, row, "it leaked", ACTOR),
        KeyAction.EXPIRE: lambda tx: keys.expire(tx, h, row, ACTOR),
        KeyAction.DESTROY: lambda tx: keys.destroy(
            tx, h, row, lambda _tx, _key: NOTHING_NEEDS_IT, ACTOR
        ),
        KeyAction.DROP: lambda tx: keys.drop_key(tx, h, row, ACTOR),
        KeyAction.IMPORT: lambda tx: received.import_key(
            tx,
            h,
            key_id=row["sys_id"],
            spec_id=row["spec_id"],
            secret=new_key(),
            source_instance="elsewhere",
        ),
    }
    with site.transaction() as tx:
        return does[action](tx)


@pytest.mark.parametrize("action", KeyAction)
@pytest.mark.parametrize("state", KeyState)
def test_each_action_in_each_state(site, state, action):
    (key,) = site.keys_of("standard")
    origin = Origin.IMPORTED if action in (KeyAction.DROP, KeyAction.IMPORT) else Origin.GENERATED
    fields: dict[str, Any] = {"origin": origin, "source_instance": "elsewhere"}
    if action is KeyAction.IMPORT:
        fields["material"] = None
    row = put_into(site, key, state, **fields)
    before = site.everything()
    if (state, action) not in KEY_TRANSITIONS:
        with pytest.raises(KeysteadError) as caught:
            act(site, action, row)
        assert isinstance(
            caught.value, NotFound if action is KeyAction.ROTATE else IllegalTransition
        )
        assert site.everything() == before
        return
    act(site, action, row)
    after = site.keys_of("standard")
    assert after[0]["state"] == KEY_TRANSITIONS[state, action]
    replaced = action in (KeyAction.ROTATE, KeyAction.REVOKE)
    assert [k["state"] for k in after[1:]] == ["active"] * replaced
    assert [k["version"] for k in after[1:]] == [2] * replaced
    assert sum(k["active_of"] is not None for k in after) == (
        sum(k["state"] in model.CAN_ENCRYPT for k in after)
    )


@pytest.mark.parametrize(
    ("action", "state", "dates"),
    [
        (KeyAction.ACTIVATE, KeyState.GENERATED, {"activated_at"}),
        (KeyAction.ROTATE, KeyState.ACTIVE, {"deactivated_at", "rotated_at"}),
        (KeyAction.SUSPEND, KeyState.ACTIVE, {"suspended_at"}),
        (KeyAction.RENEW, KeyState.ACTIVE, {"renewed_at", "expires_at"}),
        (KeyAction.REVOKE, KeyState.ACTIVE, {"revoked_at", "deactivated_at"}),
        (KeyAction.EXPIRE, KeyState.ACTIVE, {"deactivated_at"}),
        (KeyAction.DESTROY, KeyState.DEACTIVATED, {"destroyed_at"}),
        (KeyAction.DROP, KeyState.DEACTIVATED, {"destroyed_at"}),
    ],
)
def test_the_dates_that_each_action_sets(site, action, state, dates):
    (key,) = site.keys_of("standard")
    origin = Origin.IMPORTED if action is KeyAction.DROP else Origin.GENERATED
    row = put_into(site, key, state, origin=origin)
    started = clock.now()
    act(site, action, row)
    after = site.keys_of("standard")[0]
    changed = {name for name in after if name.endswith("_at") and after[name] != row[name]}
    assert changed == dates
    assert all(after[name] >= started for name in dates)


@pytest.mark.parametrize("allowed", [False, True])
def test_what_each_state_opens(site, allowed):
    with site.transaction() as tx:
        keys.create_module(
            tx, site.hierarchy, "m", Scheme.STANDARD, ACTOR, decrypts_suspended=allowed
        )
        keys.publish_module(tx, site.hierarchy, "m", ACTOR)
        key = keys.suspend(
            tx, site.hierarchy, keys.named_key(tx, site.hierarchy, "m", KeyState.ACTIVE), ACTOR
        )
    opens = {KeyState.ACTIVE, KeyState.RENEWED, KeyState.DEACTIVATED, KeyState.REVOKED}
    for state in KeyState:
        found = {**key, "state": state}
        expected = state in opens or (allowed and state is KeyState.SUSPENDED)
        assert keys.can_open(found) is expected
        assert not keys.can_open({**found, "material": None})
    assert KeyState.SUSPENDED not in model.CAN_ENCRYPT
    assert model.CAN_ENCRYPT < model.CAN_DECRYPT == opens


def named(site, module: str, *states: KeyState) -> dict[str, Any]:
    with site.snapshot() as tx:
        return keys.named_key(tx, site.hierarchy, module, *states)


class TestSuspending:
    def suspend(self, site, module: str = "standard") -> dict[str, Any]:
        with site.transaction() as tx:
            row = keys.named_key(tx, site.hierarchy, module, KeyState.ACTIVE)
            return keys.suspend(tx, site.hierarchy, row, ACTOR)

    def test_the_module_encrypts_nothing_and_no_key_replaces_it(self, mixed):
        self.suspend(mixed)
        before = mixed.everything()
        with pytest.raises(NotFound) as caught:
            mixed.start(JobKind.ENCRYPT)
        assert caught.value.code == "key.suspended"
        assert mixed.everything() == before

    def test_values_are_dark_until_it_is_resumed(self, sealed, people):
        key = self.suspend(sealed)
        shown = sealed.rows()
        assert {row[1] for row in shown} <= {None, ""}
        assert [row[4] for row in shown] == [row[4] for row in people]
        assert sealed.open_all()["name"].unreadable == sealed.count()["name"].encrypted
        with sealed.transaction() as tx:
            keys.resume(tx, sealed.hierarchy, key, ACTOR)
        assert sealed.rows() == people

    def test_a_search_does_not_miss_rows_in_silence(self, sealed):
        found = sealed.found("email=zoë@example.com")
        assert len(found) > 1
        key = self.suspend(sealed, "equal")
        with pytest.raises(NotFound) as caught:
            sealed.found("email=zoë@example.com")
        assert caught.value.code == "key.is_suspended"
        with sealed.transaction() as tx:
            keys.resume(tx, sealed.hierarchy, key, ACTOR)
        assert sealed.found("email=zoë@example.com") == found

    def test_a_running_job_stops_and_goes_on_after_it_is_resumed(self, mixed, interrupted, people):
        held: dict[str, Any] = {}

        def pull(number: int) -> None:
            if number == 1:
                held["key"] = self.suspend(mixed)

        job_id = mixed.start(JobKind.ENCRYPT)
        with pytest.raises(NotFound) as caught:
            mixed.move(job_id, interrupted(mixed, pull))
        assert caught.value.code == "key.suspended"
        with mixed.transaction() as tx:
            keys.resume(tx, mixed.hierarchy, held["key"], ACTOR)
            from keystead.jobs import service as jobs

            jobs.resume(tx, job_id, ACTOR)
        mixed.move(job_id)
        assert mixed.rows() == people

    def test_resuming_beside_another_active_key(self, site):
        key = self.suspend(site)
        with site.transaction() as tx:
            keys.generate(tx, site.hierarchy, "standard", ACTOR)
        before = site.everything()
        with pytest.raises(Conflict) as caught, site.transaction() as tx:
            keys.resume(tx, site.hierarchy, key, ACTOR)
        assert caught.value.code == "key.active_exists"
        assert site.everything() == before


class TestRevoking:
    @pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 201])
    def test_without_a_reason(self, site, reason):
        key = named(site, "standard", KeyState.ACTIVE)
        before = site.everything()
        with pytest.raises(Invalid), site.transaction() as tx:
            keys.revoke(tx, site.hierarchy, key, reason, ACTOR)
        assert site.everything() == before

    def test_a_customer_supplied_key(self, site):
        key = put_into(site, site.keys_of("standard")[0], KeyState.ACTIVE, origin=Origin.SUPPLIED)
        before = site.everything()
        with pytest.raises(Conflict) as caught, site.transaction() as tx:
            keys.revoke(tx, site.hierarchy, key, "it leaked", ACTOR)
        assert caught.value.code == "key.supplied"
        assert site.everything() == before

    def test_old_values_still_open_and_move_to_the_new_key(self, sealed, people):
        key = named(sealed, "standard", KeyState.ACTIVE)
        with sealed.transaction() as tx:
            new = keys.revoke(tx, sealed.hierarchy, key, "it leaked", ACTOR)
            (newest, said) = log.entries(tx, 2)
        assert (newest["action"], said["action"]) == ("key.generate", "key.revoke")
        assert said["detail"]["reason"] == "it leaked"
        assert sealed.rows() == people
        sealed.rekey()
        assert sealed.rows() == people
        assert set(sealed.count()["name"].by_key) == {new["sys_id"]}

    def test_a_suspended_one_beside_an_active_one(self, site):
        key = put_into(site, site.keys_of("standard")[0], KeyState.SUSPENDED)
        with site.transaction() as tx:
            active = keys.generate(tx, site.hierarchy, "standard", ACTOR)
            assert keys.revoke(tx, site.hierarchy, key, "it leaked", ACTOR) == active
        assert [k["state"] for k in site.keys_of("standard")] == ["revoked", "active"]

    @pytest.mark.parametrize("action", [KeyAction.REVOKE, KeyAction.EXPIRE, KeyAction.ROTATE])
    def test_while_a_job_counts_on_the_key(self, sealed, action):
        sealed.start(JobKind.REKEY)
        row = put_into(sealed, sealed.keys_of("standard")[0], KeyState.ACTIVE)
        before = sealed.everything()
        with pytest.raises(Conflict) as caught:
            act(sealed, action, row)
        assert caught.value.code == "job.busy"
        assert sealed.everything() == before


class TestRenewing:
    @given(
        activated=st.datetimes(clock.parse(LONG_AGO).replace(tzinfo=None)),
        days=st.integers(1, 4000),
        now=st.datetimes(clock.parse(LONG_AGO).replace(tzinfo=None)),
    )
    def test_arithmetic(self, activated, days, now):
        from keystead.keys.life_cycle import renewed_expiry

        def text(moment: Any) -> str:
            return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

        try:
            wanted = text(now + timedelta(days=days))
            expires = text(activated + timedelta(days=days))
        except OverflowError:
            return
        assert renewed_expiry(text(now), text(activated), expires) == wanted

    def test_the_expiry_counts_from_today(self, site):
        row = put_into(
            site,
            site.keys_of("standard")[0],
            KeyState.ACTIVE,
            activated_at="2023-01-01T00:00:00.000000Z",
            expires_at="2024-01-01T00:00:00.000000Z",
        )
        with site.transaction() as tx:
            renewed = keys.renew(tx, site.hierarchy, row, ACTOR, at="2023-07-01T00:00:00.000000Z")
        # 365 days from the first of July, not a year from the old expiry
        assert renewed["expires_at"] == "2024-06-30T00:00:00.000000Z"
        assert renewed["state"] == "renewed"

    @pytest.mark.parametrize("action", [KeyAction.RENEW, KeyAction.EXPIRE])
    def test_without_an_expiry(self, site, action):
        row = put_into(site, site.keys_of("standard")[0], KeyState.ACTIVE, expires_at=None)
        before = site.everything()
        with pytest.raises(Conflict) as caught:
            act(site, action, row)
        assert caught.value.code == "key.no_expiry"
        assert site.everything() == before

    def test_a_key_does_not_expire_early(self, site):
        row = put_into(
            site, site.keys_of("standard")[0], KeyState.ACTIVE, expires_at=clock.after(60)
        )
        with pytest.raises(Conflict) as caught:
            act(site, KeyAction.EXPIRE, row)
        assert caught.value.code == "key.not_expired"

    def test_beyond_the_last_year(self, site):
        row = put_into(
            site,
            site.keys_of("standard")[0],
            KeyState.ACTIVE,
            expires_at="9999-12-31T00:00:00.000000Z",
        )
        with pytest.raises(Invalid) as caught:
            act(site, KeyAction.RENEW, row)
        assert caught.value.code == "rule.too_far"


class TestWaitingKeys:
    def wait(self, site, module: str = "standard") -> dict[str, Any]:
        with site.transaction() as tx:
            return keys.generate(tx, site.hierarchy, module, ACTOR, waiting=True)

    def test_many_wait_and_one_is_rotated_to(self, sealed, people):
        first, second = self.wait(sealed), self.wait(sealed)
        with sealed.transaction() as tx:
            active = keys.rotate(tx, sealed.hierarchy, "standard", ACTOR, to=second["sys_id"])
        assert active["sys_id"] == second["sys_id"]
        assert active["activated_at"] > active["generated_at"]
        states = [k["state"] for k in sealed.keys_of("standard")]
        assert states == ["deactivated", "generated", "active"]
        sealed.rekey()
        assert sealed.rows() == people
        assert first["activated_at"] is None

    def test_one_is_not_activated_beside_another(self, site):
        row = self.wait(site)
        with pytest.raises(Conflict) as caught:
            act(site, KeyAction.ACTIVATE, row)
        assert caught.value.code == "key.active_exists"

    def test_one_of_another_module_or_none_at_all(self, site):
        row = self.wait(site, "equal")
        (active,) = site.keys_of("standard")
        before = site.everything()
        for to, error in ((row["sys_id"], NotFound), ("ab" * 16, NotFound)):
            with pytest.raises(error), site.transaction() as tx:
                keys.rotate(tx, site.hierarchy, "standard", ACTOR, to=to)
        with pytest.raises(IllegalTransition), site.transaction() as tx:
            keys.rotate(tx, site.hierarchy, "standard", ACTOR, to=active["sys_id"])
        assert site.everything() == before

    def test_a_key_from_elsewhere_never_becomes_active(self, site):
        (active,) = site.keys_of("standard")
        with site.transaction() as tx:
            keys.import_key(
                tx,
                site.hierarchy,
                key_id="ab" * 16,
                spec_id=active["spec_id"],
                secret=new_key(),
                source_instance="elsewhere",
            )
        with pytest.raises(IllegalTransition), site.transaction() as tx:
            keys.rotate(tx, site.hierarchy, "standard", ACTOR, to="ab" * 16)

    def test_the_first_key_is_made_when_it_is_needed(self, site):
        with site.transaction() as tx:
            keys.create_module(tx, site.hierarchy, "lazy", Scheme.STANDARD, ACTOR)
            keys.publish_module(tx, site.hierarchy, "lazy", ACTOR, first_key=False)
        assert site.keys_of("lazy") == []
        site.configure("name", "lazy")
        site.encrypt()
        (key,) = site.keys_of("lazy")
        assert (key["state"], key["version"]) == ("active", 1)

    @pytest.mark.parametrize("state", [s for s in KeyState if s not in model.CAN_ENCRYPT])
    def test_a_later_one_is_not(self, mixed, state):
        put_into(mixed, mixed.keys_of("standard")[0], state)
        before = mixed.everything()
        with pytest.raises(NotFound):
            mixed.start(JobKind.ENCRYPT)
        assert mixed.everything() == before


class TestDestroying:
    def destroy(self, site, key_id: str) -> dict[str, Any]:
        with site.transaction() as tx:
            row = keys.key(tx, site.hierarchy, key_id)
            needs = census.needs(site.database, site.hierarchy)
            return keys.destroy(tx, site.hierarchy, row, needs, ACTOR)

    def test_is_refused_while_values_need_the_key(self, rotated, people):
        old = rotated.keys_of("standard")[0]
        before = rotated.everything()
        with pytest.raises(Conflict) as caught:
            self.destroy(rotated, old["sys_id"])
        assert caught.value.code == "key.needed"
        assert "people.name" in caught.value.what
        assert rotated.everything() == before
        rotated.rekey()
        destroyed = self.destroy(rotated, old["sys_id"])
        assert (destroyed["state"], destroyed["material"]) == ("destroyed", None)
        assert destroyed["generated_at"] == old["generated_at"]
        assert rotated.rows() == people
        with pytest.raises(NotFound):
            opened(rotated, rotated.keys_of("standard")[0])

    def test_the_bytes_are_gone_from_the_disk(self, rotated):
        old = rotated.keys_of("standard")[0]
        rotated.rekey()
        assert old["material"].encode() in rotated.on_disk()
        self.destroy(rotated, old["sys_id"])
        rotated.database.scrub()
        assert old["material"].encode() not in rotated.on_disk()
        assert old["sys_id"].encode() in rotated.on_disk()

    def test_is_refused_while_a_job_is_unfinished(self, rotated):
        old = rotated.keys_of("standard")[0]
        rotated.rekey()
        rotated.start(JobKind.REKEY)
        with pytest.raises(Conflict) as caught:
            self.destroy(rotated, old["sys_id"])
        assert caught.value.code == "job.busy"

    def test_it_is_never_received_again(self, site):
        (key,) = site.keys_of("standard")
        row = put_into(
            site, key, KeyState.DEACTIVATED, origin=Origin.IMPORTED, source_instance="elsewhere"
        )
        self.destroy(site, row["sys_id"])
        with pytest.raises(Conflict) as caught:
            act(site, KeyAction.IMPORT, row)
        assert caught.value.code == "key.destroyed"


COLUMNS = [c.name for c in KEYS.columns]


@pytest.mark.parametrize("value", ["2020-01-01T00:00:00.000000Z", 77, "active", None])
def test_a_key_with_any_column_changed_is_refused(site, value):
    """By another program that writes the file; some columns cannot hold some values."""
    (key,) = site.keys_of("standard")
    ((place,),) = site.sql("SELECT rowid FROM sys_kmf_module_key WHERE sys_id = ?", key["sys_id"])
    refused = set()
    for column in COLUMNS:
        change = f"UPDATE sys_kmf_module_key SET {column} = ? WHERE rowid = {place}"
        try:
            site.sql(change, value)
        except sqlite3.IntegrityError:
            continue
        if value != key[column]:
            with pytest.raises(Tampered), site.snapshot() as tx:
                keys.all_keys(tx, site.hierarchy)
            refused.add(column)
        site.sql(change, key[column])
    assert refused
    assert site.keys_of("standard") == [key]


def test_a_key_with_two_columns_exchanged_is_refused(site):
    (key,) = site.keys_of("standard")
    dates = [c for c in COLUMNS if c.endswith("_at") and c != "generated_at"]
    for one, other in itertools.combinations(dates, 2):
        if key[one] == key[other]:
            continue
        site.sql(f"UPDATE sys_kmf_module_key SET {one} = {other}, {other} = {one}")
        with pytest.raises(Tampered), site.snapshot() as tx:
            keys.all_keys(tx, site.hierarchy)
        site.sql(f"UPDATE sys_kmf_module_key SET {one} = {other}, {other} = {one}")
    assert site.keys_of("standard") == [key]


class TestAtOnce:
    """Several processes on one file: whatever they do, at most one key encrypts."""

    WORKERS = 4

    def at_once(self, site, *acts: Callable[[Any], Any]) -> list[Any]:
        barrier = threading.Barrier(len(acts))
        ends: list[Any] = []

        def work(do: Callable[[Any], Any]) -> None:
            database = SqliteDatabase(site.file)
            barrier.wait(timeout=30)
            try:
                with database.transaction() as tx:
                    ends.append(do(tx)["sys_id"])
            except KeysteadError as error:
                ends.append(error.code)
            finally:
                database.close()

        threads = [threading.Thread(target=work, args=(do,)) for do in acts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert len(ends) == len(acts)
        active = [k for k in site.keys_of("standard") if k["state"] in model.CAN_ENCRYPT]
        assert len(active) == 1
        assert active[0]["active_of"] == active[0]["spec_id"]
        return ends

    def test_revoking(self, site):
        key_id = site.keys_of("standard")[0]["sys_id"]

        def revoke(tx: Any) -> Any:
            row = keys.key(tx, site.hierarchy, key_id)
            return keys.revoke(tx, site.hierarchy, row, "it leaked", ACTOR)

        ends = self.at_once(site, *[revoke] * self.WORKERS)
        assert ends.count("key.transition") == self.WORKERS - 1
        assert [k["state"] for k in site.keys_of("standard")] == ["revoked", "active"]

    def test_resuming_several(self, site):
        suspended = []
        for _ in range(self.WORKERS):
            with site.transaction() as tx:
                row = keys.named_key(tx, site.hierarchy, "standard", KeyState.ACTIVE)
                suspended.append(keys.suspend(tx, site.hierarchy, row, ACTOR)["sys_id"])
                keys.generate(tx, site.hierarchy, "standard", ACTOR)
        last = named(site, "standard", KeyState.ACTIVE)
        put_into(site, last, KeyState.DEACTIVATED)

        def resume(key_id: str) -> Callable[[Any], Any]:
            return lambda tx: keys.resume(
                tx, site.hierarchy, keys.key(tx, site.hierarchy, key_id), ACTOR
            )

        ends = self.at_once(site, *[resume(key_id) for key_id in suspended])
        assert ends.count("key.active_exists") == self.WORKERS - 1

    def test_everything_against_everything(self, site):
        def fresh(act_on: Callable[[Any, dict[str, Any]], Any]) -> Callable[[Any], Any]:
            def run(tx: Any) -> Any:
                row = keys.named_key(tx, site.hierarchy, "standard", *model.CAN_ENCRYPT)
                return act_on(tx, row)

            return run

        h = site.hierarchy
        with site.transaction() as tx:
            waiting = keys.generate(tx, h, "standard", ACTOR, waiting=True)["sys_id"]
        self.at_once(
            site,
            lambda tx: keys.rotate(tx, h, "standard", ACTOR),
            lambda tx: keys.rotate(tx, h, "standard", ACTOR, to=waiting),
            lambda tx: keys.generate(tx, h, "standard", ACTOR),
            fresh(lambda tx, row: keys.revoke(tx, h, row, "it leaked", ACTOR)),
            lambda tx: keys.rotate(tx, h, "standard", ACTOR),
        )

    def test_the_database_itself_refuses_a_second_active_key(self, site, monkeypatch):
        """The last guard: without the question before, two would become active."""
        from keystead.keys import held, life_cycle

        monkeypatch.setattr(held, "find_active", lambda *_: None)
        monkeypatch.setattr(life_cycle.held, "find_active", lambda *_: None)
        before = site.everything()
        with pytest.raises(Conflict) as caught, site.transaction() as tx:
            keys.generate(tx, site.hierarchy, "standard", ACTOR)
        assert caught.value.code == "key.active_exists"
        assert site.everything() == before
