"""Keys, jobs, requests and clones change state by their tables only; the root opens all or nothing.

What is not in a table is refused, and a refusal moves nothing.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.opened import opened

from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base import clock
from keystead.base.errors import (
    Conflict,
    IllegalTransition,
    Invalid,
    KeysteadError,
    Misconfigured,
    NotFound,
    Tampered,
)
from keystead.base.secret import Secret
from keystead.clone import model as clones
from keystead.clone import plan, source
from keystead.clone.tables import CLONES
from keystead.crypto.envelope import MARKER, Scheme
from keystead.crypto.wrap import KEY_SIZE, new_key
from keystead.exchange import model as exchange
from keystead.instance import home as homes
from keystead.instance import opening, root_files
from keystead.jobs import service as jobs
from keystead.jobs.model import TRANSITIONS as JOB_TRANSITIONS
from keystead.jobs.model import JobAction, JobKind, JobState
from keystead.jobs.model import next_state as next_job_state
from keystead.jobs.service import Lease
from keystead.keys import model
from keystead.keys import service as keys
from keystead.keys.model import KEY_TRANSITIONS, KeyAction, KeyState, ModuleState, Origin
from keystead.keys.tables import KEYS
from keystead.programs import cli

ACTOR = "test"


def every(states: Any, actions: Any) -> list[Any]:
    return [
        pytest.param(state, action, id=f"{state.name}-{action.name}")
        for state, action in itertools.product(states, actions)
    ]


@pytest.mark.parametrize(
    ("states", "actions", "table", "after"),
    [
        (KeyState, KeyAction, KEY_TRANSITIONS, model.next_state),
        (JobState, JobAction, JOB_TRANSITIONS, next_job_state),
        (exchange.Status, exchange.Action, exchange.TRANSITIONS, exchange.next_status),
        (clones.State, clones.Action, clones.TRANSITIONS, clones.next_state),
    ],
    ids=["keys", "jobs", "exchange", "clones"],
)
class TestTables:
    def test_what_is_not_there_is_refused(self, states, actions, table, after):
        for state, action in itertools.product(states, actions):
            if (state, action) in table:
                assert after("the-id", state, action) is table[state, action]
                continue
            with pytest.raises(IllegalTransition) as caught:
                after("the-id", state, action)
            what = caught.value.what
            assert "the-id" in what
            assert str(state) in what
            assert str(action) in what

    def test_every_action_has_a_use(self, states, actions, table, after):
        assert {action for _, action in table} == set(actions)
        assert {state for state, _ in table} | set(table.values()) == set(states)

    def test_what_has_ended_stays_as_it_is(self, states, actions, table, after):
        ends = {
            KeyState: set(),  # a destroyed one may be received again
            JobState: {JobState.DONE, JobState.CANCELLED},
            exchange.Status: {exchange.Status.COMPLETE, exchange.Status.EXPIRED},
            clones.State: {clones.State.COMMITTED},
        }
        assert {s for s in states if not any(s == before for before, _ in table)} == ends[states]


class TestJobs:
    @pytest.mark.parametrize(("state", "action"), every(JobState, JobAction))
    def test_each_action_in_each_state(self, site, state, action):
        with site.transaction() as tx:
            job_id = jobs.create(tx, JobKind.REKEY, "people", {}, ACTOR)
        site.sql("UPDATE keystead_job SET state = ?", state)
        before = site.everything()
        lease = Lease(job_id, 0)
        act: dict[JobAction, Callable[[Any], Any]] = {
            JobAction.CLAIM: lambda tx: jobs.claim(tx, job_id),
            JobAction.FINISH: lambda tx: jobs.finish(tx, lease),
            JobAction.FAIL: lambda tx: jobs.fail(tx, lease, Conflict("key.own", key="k")),
            JobAction.RESUME: lambda tx: jobs.resume(tx, job_id, ACTOR),
            JobAction.CANCEL: lambda tx: jobs.cancel(tx, job_id, ACTOR),
        }
        if (state, action) in JOB_TRANSITIONS:
            with site.transaction() as tx:
                act[action](tx)
            assert site.job(job_id)["state"] == JOB_TRANSITIONS[state, action]
            return
        with pytest.raises(IllegalTransition), site.transaction() as tx:
            act[action](tx)
        assert site.everything() == before

    def test_each_claim_takes_the_job_from_the_one_before(self, site):
        with site.transaction() as tx:
            job_id = jobs.create(tx, JobKind.REKEY, "people", {}, ACTOR)
            first, second = jobs.claim(tx, job_id), jobs.claim(tx, job_id)
        before = site.everything()
        for act in (
            lambda tx: jobs.write(tx, first, done=5),
            lambda tx: jobs.finish(tx, first),
            lambda tx: jobs.fail(tx, first, Conflict("key.own", key="k")),
        ):
            with pytest.raises(Conflict) as caught, site.transaction() as tx:
                act(tx)
            assert caught.value.code == "job.fenced"
        assert site.everything() == before
        with site.transaction() as tx:
            jobs.write(tx, second, done=5, cursor=["p01", 7], counts={"values": 2})
        job = site.job(job_id)
        assert (job["done"], job["cursor"], job["counts"]) == (5, ["p01", 7], {"values": 2})

    def test_a_refusal_is_written_into_the_job(self, site):
        with site.transaction() as tx:
            job_id = jobs.create(tx, JobKind.REKEY, "people", {}, ACTOR)

        def refuse(lease: Lease) -> None:
            raise NotFound("key.not_held", key="k")

        with pytest.raises(NotFound):
            jobs.run_stage(site.database, job_id, refuse)
        job = site.job(job_id)
        assert (job["state"], job["error_family"]) == ("failed", "not_found")
        assert (job["error_code"], job["error_what"]) == (
            "key.not_held",
            NotFound("key.not_held", key="k").what,
        )

        with site.transaction() as tx:
            jobs.resume(tx, job_id, ACTOR)
        job = site.job(job_id)
        assert (job["state"], job["attempt"], job["error_code"]) == ("new", 2, None)
        with site.snapshot() as tx:
            assert jobs.waiting(tx) == [(job_id, 2)]

    def test_one_that_is_not_there(self, site):
        with pytest.raises(NotFound) as caught:
            site.cancel("nothing")
        assert caught.value.code == "job.missing"


def in_state(site, key: dict[str, Any], state: KeyState, origin: Origin) -> dict[str, Any]:
    """A key as it is kept in a state, but still with its material."""
    fields = {"state": state, "origin": origin, "source_instance": "elsewhere"}
    fields["active_of"] = key["spec_id"] if state in model.CAN_ENCRYPT else None
    with site.transaction() as tx:
        return site.integrity.update(tx, KEYS, key, "the key", **fields)


class TestKeys:
    @pytest.mark.parametrize("state", KeyState)
    def test_dropped_in_each_state(self, site, state):
        (key,) = site.keys_of("standard")
        key = in_state(site, key, state, Origin.IMPORTED)
        before = site.everything()
        if (state, KeyAction.DROP) in KEY_TRANSITIONS:
            with site.transaction() as tx:
                keys.drop_key(tx, site.hierarchy, key, ACTOR)
            (dropped,) = site.keys_of("standard")
            assert dropped["state"] == KEY_TRANSITIONS[state, KeyAction.DROP]
            assert dropped["material"] is None
            assert dropped["destroyed_at"] <= clock.now()
            return
        with pytest.raises(IllegalTransition), site.transaction() as tx:
            keys.drop_key(tx, site.hierarchy, key, ACTOR)
        assert site.everything() == before

    @pytest.mark.parametrize("state", KeyState)
    def test_rotated_in_each_state(self, site, state):
        (key,) = site.keys_of("standard")
        in_state(site, key, state, Origin.GENERATED)
        before = site.everything()
        if (state, KeyAction.ROTATE) in KEY_TRANSITIONS:
            site.rotate("standard")
            old, new = site.keys_of("standard")
            assert old["state"] == KEY_TRANSITIONS[state, KeyAction.ROTATE]
            assert (new["state"], new["version"]) == ("active", 2)
            assert old["deactivated_at"] <= new["activated_at"] <= clock.now()
            assert old["material"] == key["material"]
            return
        with pytest.raises(KeysteadError) as caught:
            site.rotate("standard")
        assert caught.value.code == ("key.suspended" if state is KeyState.SUSPENDED else "key.none")
        assert site.everything() == before

    @pytest.mark.parametrize("state", KeyState)
    def test_generated_beside_one_in_each_state(self, site, state):
        (key,) = site.keys_of("standard")
        in_state(site, key, state, Origin.GENERATED)
        before = site.everything()
        if state not in model.CAN_ENCRYPT:
            with site.transaction() as tx:
                made = keys.generate(tx, site.hierarchy, "standard", ACTOR)
            assert [k["state"] for k in site.keys_of("standard")] == [state, "active"]
            assert made["version"] == 2
            return
        with pytest.raises(Conflict) as caught, site.transaction() as tx:
            keys.generate(tx, site.hierarchy, "standard", ACTOR)
        assert caught.value.code == "key.active_exists"
        assert site.everything() == before

    @pytest.mark.parametrize("state", KeyState)
    def test_received_again_in_each_state(self, site, state):
        (key,) = site.keys_of("standard")
        key = in_state(site, key, state, Origin.IMPORTED)
        with site.transaction() as tx:
            site.integrity.update(
                tx, KEYS, key, "the key", material=None, source_instance="another"
            )
        before = site.everything()

        def receive() -> bool:
            with site.transaction() as tx:
                return keys.import_key(
                    tx,
                    site.hierarchy,
                    key_id=key["sys_id"],
                    spec_id=key["spec_id"],
                    secret=new_key(),
                    source_instance="another",
                )

        if (state, KeyAction.IMPORT) in KEY_TRANSITIONS:
            assert receive()
            (received,) = site.keys_of("standard")
            assert received["state"] == KEY_TRANSITIONS[state, KeyAction.IMPORT]
            assert received["destroyed_at"] is None
            assert keys.can_open(received)
            return
        with pytest.raises(IllegalTransition):
            receive()
        assert site.everything() == before

    @pytest.mark.parametrize("state", KeyState)
    def test_opened_in_each_state(self, site, state):
        (key,) = site.keys_of("standard")
        key = in_state(site, key, state, Origin.GENERATED)
        if state in model.CAN_DECRYPT:
            assert len(opened(site, key)) == KEY_SIZE
            return
        with pytest.raises(NotFound) as caught:
            opened(site, key)
        assert caught.value.code == (
            "key.is_suspended" if state is KeyState.SUSPENDED else "key.not_held"
        )

    def test_a_stale_row_changes_nothing(self, site):
        (stale,) = site.keys_of("standard")
        in_state(site, stale, KeyState.DEACTIVATED, Origin.IMPORTED)
        before = site.everything()
        with pytest.raises(Conflict) as caught, site.transaction() as tx:
            site.integrity.update(tx, KEYS, stale, "the key", state="destroyed")
        assert caught.value.code == "row.changed"
        assert site.everything() == before

    @pytest.mark.parametrize("act", [keys.generate, keys.rotate])
    def test_a_module_that_is_a_draft_or_missing(self, site, act):
        with site.transaction() as tx:
            keys.create_module(tx, site.hierarchy, "draft", Scheme.STANDARD, ACTOR)
        before = site.everything()
        for name, error in (("draft", IllegalTransition), ("nothing", NotFound)):
            with pytest.raises(error), site.transaction() as tx:
                act(tx, site.hierarchy, name, ACTOR)
        assert site.everything() == before

    def test_a_module_is_published_once(self, site):
        with site.transaction() as tx:
            made = keys.create_module(tx, site.hierarchy, "once", Scheme.EQUALITY, ACTOR)
            assert made["state"] == ModuleState.DRAFT
        assert site.keys_of("once") == []
        with site.transaction() as tx:
            keys.publish_module(tx, site.hierarchy, "once", ACTOR)
        assert [key["state"] for key in site.keys_of("global.once")] == ["active"]
        before = site.everything()
        with pytest.raises(IllegalTransition), site.transaction() as tx:
            keys.publish_module(tx, site.hierarchy, "once", ACTOR)
        with pytest.raises(Conflict), site.transaction() as tx:
            keys.create_module(tx, site.hierarchy, "once", Scheme.EQUALITY, ACTOR)
        assert site.everything() == before


class TestAtOnce:
    """Several processes on one file."""

    WORKERS = 3

    def at_once(self, site, act: Callable[[Any], Any]) -> list[Any]:
        databases = [SqliteDatabase(site.file) for _ in range(self.WORKERS)]
        barrier = threading.Barrier(self.WORKERS)
        ends: list[Any] = []

        def work(database: SqliteDatabase) -> None:
            barrier.wait(timeout=30)
            try:
                with database.transaction() as tx:
                    ends.append(act(tx)["version"])
            except Exception as error:
                ends.append(error)

        threads = [threading.Thread(target=work, args=(database,)) for database in databases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        for database in databases:
            database.close()
        assert len(ends) == self.WORKERS
        return ends

    def test_generating_leaves_one_active_key(self, site):
        (key,) = site.keys_of("standard")
        in_state(site, key, KeyState.DEACTIVATED, Origin.GENERATED)
        ends = self.at_once(site, lambda tx: keys.generate(tx, site.hierarchy, "standard", ACTOR))
        assert [end for end in ends if isinstance(end, int)] == [2]
        refusals = [end for end in ends if not isinstance(end, int)]
        assert [getattr(error, "code", error) for error in refusals] == ["key.active_exists"] * (
            self.WORKERS - 1
        )
        assert [k["state"] for k in site.keys_of("standard")] == ["deactivated", "active"]

    def test_rotating_leaves_one_active_key(self, sealed, people):
        ends = self.at_once(sealed, lambda tx: keys.rotate(tx, sealed.hierarchy, "standard", ACTOR))
        assert sorted(ends) == [2, 3, 4]
        held = sealed.keys_of("standard")
        assert [k["state"] for k in held] == ["deactivated"] * 3 + ["active"]
        assert len({k["material"] for k in held}) == 4
        assert sealed.rows() == people
        sealed.rekey()
        assert sealed.rows() == people

    def test_rotating_with_a_row_read_before(self, site):
        """Who read the active key before another rotated it changes nothing."""
        (stale,) = site.keys_of("standard")
        site.rotate("standard")
        before = site.everything()
        with pytest.raises(Conflict), site.transaction() as tx:
            site.integrity.update(tx, KEYS, stale, "the key", state=KeyState.DEACTIVATED)
        assert site.everything() == before

    def test_the_database_itself_refuses_a_second_active_key(self, site):
        """The last guard, should every other fail."""
        (key,) = site.keys_of("standard")
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            site.sql(
                "INSERT INTO sys_kmf_module_key (sys_id, spec_id, active_of, version, state,"
                " origin, generated_at, revision, tag)"
                " VALUES ('x', ?, ?, 9, 'active', 'generated', '', 1, '')",
                key["spec_id"],
                key["active_of"],
            )
        assert site.keys_of("standard") == [key]


class TestImport:
    KEY_ID = "ab" * 16

    SECRET = Secret(bytes(range(32)))

    def bring(
        self,
        site,
        module: str = "standard",
        secret: Secret = SECRET,
        source_instance: str = "elsewhere",
    ) -> bool:
        spec_id = site.keys_of(module)[0]["spec_id"]
        with site.transaction() as tx:
            return keys.import_key(
                tx,
                site.hierarchy,
                key_id=self.KEY_ID,
                spec_id=spec_id,
                secret=secret,
                source_instance=source_instance,
            )

    def test_a_received_key_opens_and_never_encrypts(self, site):
        active = site.keys_of("standard")[0]
        assert self.bring(site)
        _, key = site.keys_of("standard")
        assert (key["state"], key["origin"]) == ("deactivated", "imported")
        assert (key["source_instance"], key["activated_at"]) == ("elsewhere", None)
        assert keys.can_open(key)
        with site.snapshot() as tx:
            assert keys.active_key(tx, site.hierarchy, key["spec_id"]) == active

    def test_a_second_time_it_is_not_new(self, site):
        self.bring(site)
        before = site.everything()
        assert not self.bring(site)
        assert site.everything() == before

    @pytest.mark.parametrize(
        ("changed", "code"),
        [({"module": "equal"}, "key.elsewhere"), ({"secret": Secret(bytes(32))}, "key.differs")],
    )
    def test_as_another_key_it_is_refused(self, site, changed, code):
        self.bring(site)
        before = site.everything()
        with pytest.raises(Conflict) as caught:
            self.bring(site, **changed)
        assert caught.value.code == code
        assert site.everything() == before

    def test_after_it_was_dropped_it_can_come_again(self, site):
        self.bring(site)
        with site.transaction() as tx:
            keys.drop_key(tx, site.hierarchy, site.keys_of("standard")[1], ACTOR)
        before = site.everything()
        with pytest.raises(Conflict):
            self.bring(site, source_instance="another")
        assert site.everything() == before
        assert self.bring(site)
        _, key = site.keys_of("standard")
        assert (key["state"], key["destroyed_at"], key["version"]) == ("deactivated", None, 2)
        assert keys.can_open(key)


class TestDropping:
    """By the command, which is where the values are counted."""

    def drop(self, site, capsys, monkeypatch, key_id: str) -> tuple[int, Any]:
        arguments = ["keystead", "key", "drop", str(site.folder), key_id, "--json"]
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(str(ended.value.code)), json.loads(printed.out or printed.err)

    @pytest.fixture
    def drop_key(self, capsys, monkeypatch) -> Callable[[Any, str], tuple[int, Any]]:
        return lambda site, key_id: self.drop(site, capsys, monkeypatch, key_id)

    def received(self, site, module: str) -> str:
        """The older key of a module as one that came from another instance."""
        old = site.keys_of(module)[0]
        return str(in_state(site, old, KeyState.DEACTIVATED, Origin.IMPORTED)["sys_id"])

    def test_is_refused_while_values_need_the_key(self, rotated, drop_key, people):
        key_id = self.received(rotated, "equal")
        before = rotated.everything()
        code, said = drop_key(rotated, key_id)
        assert (code, said["error"]) == (6, "key.needed")
        assert f"people.email ({sum(row[4] not in (None, '') for row in people)})" in said["what"]
        assert rotated.everything() == before
        assert rotated.rows() == people

    def test_is_refused_while_one_value_needs_the_key(self, rotated, drop_key):
        key_id = self.received(rotated, "equal")
        older = rotated.cell("team", "p01")
        rotated.rekey()
        rotated.put("team", "p01", older)
        code, said = drop_key(rotated, key_id)
        assert (code, said["error"]) == (6, "key.needed")
        assert "people.team (1)" in said["what"]

    def test_is_refused_while_a_value_names_a_key_that_is_not_known(self, rotated, drop_key):
        key_id = self.received(rotated, "equal")
        rotated.rekey()
        rotated.put("city", "p01", MARKER)
        assert drop_key(rotated, key_id)[1]["error"] == "key.needed"

    def test_takes_the_material_away_and_leaves_every_value(self, rotated, drop_key, people):
        key_id = self.received(rotated, "equal")
        rotated.rekey()
        material = rotated.keys_of("equal")[0]["material"].encode()
        assert material in rotated.on_disk()

        code, said = drop_key(rotated, key_id)

        assert (code, said["state"]) == (0, "destroyed")
        assert material not in rotated.on_disk()
        assert rotated.rows() == people
        code, said = drop_key(rotated, key_id)
        assert (code, said["error"]) == (7, "key.transition")

    def test_of_the_instances_own_key_is_refused(self, rotated, drop_key):
        rotated.rekey()
        for key in rotated.keys_of("equal"):
            rotated.sql("DELETE FROM people")
            before = rotated.everything()
            code, said = drop_key(rotated, key["sys_id"])
            assert (code, said["error"]) == (6, "key.own")
            assert rotated.everything() == before

    def test_of_the_active_key_is_refused(self, site, drop_key):
        (key,) = site.keys_of("standard")
        in_state(site, key, KeyState.ACTIVE, Origin.IMPORTED)
        before = site.everything()
        code, said = drop_key(site, key["sys_id"])
        assert (code, said["error"]) == (7, "key.transition")
        assert site.everything() == before

    @pytest.mark.parametrize("kind", JobKind)
    def test_while_a_job_is_unfinished_is_refused(self, rotated, drop_key, kind):
        key_id = self.received(rotated, "equal")
        rotated.rekey()
        with rotated.transaction() as tx:
            jobs.create(tx, kind, "people", {}, ACTOR)
        code, said = drop_key(rotated, key_id)
        assert (code, said["error"]) == (6, "job.busy")
        assert keys.can_open(rotated.keys_of("equal")[0])

    def test_of_a_key_that_is_not_here(self, site, drop_key):
        assert drop_key(site, "0" * 32)[1]["error"] == "key.missing"


class TestClones:
    @pytest.mark.parametrize("state", [clones.State.STAGING, clones.State.COMMITTED])
    def test_that_cannot_be_run_are_refused(self, site, state):
        with site.transaction() as tx:
            clone_id = site.integrity.insert(
                tx,
                CLONES,
                side=clones.Side.SOURCE,
                peer_id="elsewhere",
                state=state,
                plan="{}",
                attempt=0,
                next_sequence=0,
                created_at=clock.now(),
            )
        before = site.everything()
        with pytest.raises(IllegalTransition), site.transaction() as tx:
            source.request(tx, site.hierarchy, clone_id, ACTOR)
        assert site.everything() == before
        with site.snapshot() as tx:
            assert plan.get(tx, site.hierarchy, clone_id)["state"] == state


def connect(home: homes.Home) -> SqliteDatabase:
    return SqliteDatabase(home.database_file)


class TestRoot:
    def refused(self, site, code: str) -> Misconfigured:
        with pytest.raises(Misconfigured) as caught:
            opening.open_instance(site.folder, connect)
        assert caught.value.code == code
        return caught.value

    def test_is_readable_by_its_owner_only(self, site):
        assert site.instance.home.root_file.stat().st_mode & 0o777 == 0o600
        assert site.instance.home.tls_key.stat().st_mode & 0o777 == 0o600
        assert site.instance.home.recovery_file.stat().st_mode & 0o777 == 0o600

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
    def test_readable_by_others_is_refused(self, site, mode):
        site.instance.home.root_file.chmod(mode)
        error = self.refused(site, "root.readable")
        assert f"{mode:04o}" in error.what
        assert "chmod 600" in error.todo

    @pytest.mark.parametrize("mode", [0o600, 0o400])
    def test_readable_by_its_owner_is_taken(self, site, mode):
        site.instance.home.root_file.chmod(mode)
        opening.open_instance(site.folder, connect).database.close()

    def test_missing(self, site):
        site.instance.home.root_file.unlink()
        assert "recover" in self.refused(site, "root.missing").todo

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"keystead-root-1 ",
            b"keystead-root-1 short\n",
            b"keystead-root-2 " + b"A" * 43 + b"\n",
            b"keystead-root-1 " + b"A" * 42 + b"\n",
            b"keystead-root-1 " + b"A" * 44 + b"\n",
            b"keystead-root-1 " + b"A" * 42 + b"=\n",
            b"keystead-root-1 " + b"A" * 43 + b"\n\n",
            b" keystead-root-1 " + b"A" * 43 + b"\n",
            b"keystead-root-1 " + b"A" * 42 + b"\xff\n",
        ],
    )
    def test_malformed(self, site, content):
        site.instance.home.root_file.write_bytes(content)
        error = self.refused(site, "root.malformed")
        assert "AAAA" not in f"{error.what} {error.todo}"

    def test_that_is_a_folder(self, site):
        site.instance.home.root_file.unlink()
        site.instance.home.root_file.mkdir(mode=0o700)
        self.refused(site, "root.malformed")

    def test_of_another_instance(self, site):
        file = site.instance.home.root_file
        file.unlink()
        root_files.write_root(site.instance.home.root_file, new_key())
        before = site.everything()
        self.refused(site, "root.wrong")
        assert site.everything() == before

    @pytest.mark.parametrize("purpose", ["kek", "signing", "sealing"])
    def test_with_a_wrapped_key_missing_or_changed(self, site, purpose):
        ((material,),) = site.sql(
            "SELECT material FROM keystead_instance_key WHERE purpose = ?", purpose
        )
        where = "WHERE purpose = ?"
        changed = ("B" if material[40] != "B" else "C").join([material[:40], material[41:]])
        for damaged in (changed, "", material[:-4], "AAAA" + material):
            site.sql(f"UPDATE keystead_instance_key SET material = ? {where}", damaged, purpose)
            self.refused(site, "root.wrong")
        site.sql(f"DELETE FROM keystead_instance_key {where}", purpose)
        self.refused(site, "root.wrong")

    def test_with_wrapped_keys_swapped(self, site):
        for old, new in (("kek", "neither"), ("sealing", "kek"), ("neither", "sealing")):
            site.sql("UPDATE keystead_instance_key SET purpose = ? WHERE purpose = ?", new, old)
        self.refused(site, "root.wrong")

    def test_of_an_instance_under_another_id(self, site):
        file = site.instance.home.settings_file
        settings = file.read_text(encoding="utf-8")
        instance_id = site.instance.settings.instance_id
        file.write_text(settings.replace(instance_id, "0" * 32), encoding="utf-8")
        self.refused(site, "root.wrong")

    def test_of_no_home(self, tmp_path):
        with pytest.raises(Misconfigured) as caught:
            opening.open_instance(tmp_path / "nothing", connect)
        assert caught.value.code == "home.missing"
        assert list(tmp_path.iterdir()) == []

    def test_is_never_written_over(self, site):
        before = site.instance.home.root_file.read_bytes()
        with pytest.raises(Conflict) as caught:
            root_files.write_root(site.instance.home.root_file, new_key())
        assert caught.value.code == "root.present"
        assert site.instance.home.root_file.read_bytes() == before


class TestRecovery:
    @pytest.mark.parametrize(
        "typed",
        [
            lambda key: key,
            lambda key: key.lower(),
            lambda key: key.replace("-", ""),
            lambda key: key.replace("-", " ") + "\n",
        ],
    )
    def test_regains_the_root_and_every_value(self, sealed, templates, people, typed):
        file = sealed.instance.home.root_file
        before = file.read_bytes()
        file.unlink()

        found = opening.recover(sealed.folder, typed(templates.recovery_key), connect, ACTOR)
        found.database.close()

        assert file.read_bytes() == before
        assert file.stat().st_mode & 0o777 == 0o600
        again = type(sealed)(sealed.folder)
        assert again.rows() == people
        again.database.close()
        assert sealed.sql("SELECT action FROM keystead_audit ORDER BY sequence DESC LIMIT 1") == [
            ("root.recover",)
        ]

    @pytest.mark.parametrize(
        "typed",
        [
            lambda key: "",
            lambda key: key[:-1],
            lambda key: key[:-5],
            lambda key: key + "A",
            lambda key: ("B" if key[0] != "B" else "C") + key[1:],
            lambda key: "-".join(["AAAA"] * 13),
            lambda key: "0189" + key[4:],
            lambda key: "é" + key[1:],
            lambda key: "not a recovery key",
        ],
    )
    def test_with_another_key_is_refused(self, site, templates, typed):
        file = site.instance.home.root_file
        file.unlink()
        before = site.everything()
        with pytest.raises(Invalid) as caught:
            opening.recover(site.folder, typed(templates.recovery_key), connect, ACTOR)
        assert caught.value.code == "root.recovery"
        assert not file.exists()
        assert site.everything() == before

    @pytest.mark.parametrize("content", [None, b"", b"no base64", b"AAAA\n"])
    def test_without_its_file_is_refused(self, site, templates, content):
        site.instance.home.root_file.unlink()
        site.instance.home.recovery_file.unlink()
        if content is not None:
            site.instance.home.recovery_file.write_bytes(content)
        with pytest.raises(Invalid):
            opening.recover(site.folder, templates.recovery_key, connect, ACTOR)
        assert not site.instance.home.root_file.exists()

    def test_beside_a_root_key_is_refused(self, site, templates):
        before = site.instance.home.root_file.read_bytes()
        with pytest.raises(Conflict) as caught:
            opening.recover(site.folder, templates.recovery_key, connect, ACTOR)
        assert caught.value.code == "root.present"
        assert site.instance.home.root_file.read_bytes() == before

    def test_writes_nothing_when_the_root_does_not_open_the_database(self, site, templates):
        site.instance.home.root_file.unlink()
        site.sql("DELETE FROM keystead_instance_key WHERE purpose = 'kek'")
        with pytest.raises(Misconfigured) as caught:
            opening.recover(site.folder, templates.recovery_key, connect, ACTOR)
        assert caught.value.code == "root.wrong"
        assert not site.instance.home.root_file.exists()


class TestInit:
    def init(self, folder: Path, name: str = "prod", connecting: Any = connect) -> str:
        return opening.init(folder, name, 8420, connecting, ACTOR)[1]

    @pytest.mark.parametrize("exists", [False, True])
    def test_makes_an_instance_that_opens(self, tmp_path, exists):
        folder = tmp_path / "home"
        if exists:
            folder.mkdir()
        recovery = self.init(folder)
        opened = opening.open_instance(folder, connect)
        opened.database.close()
        assert opened.settings.name == "prod"
        assert len(recovery.replace("-", "")) == 52
        assert [path.name for path in tmp_path.iterdir()] == ["home"]
        assert folder.stat().st_mode & 0o077 == 0

    def test_makes_each_one_different(self, tmp_path):
        keys_shown = {self.init(tmp_path / name) for name in ("one", "two")}
        roots = {(tmp_path / name / "root.key").read_bytes() for name in ("one", "two")}
        assert len(keys_shown) == len(roots) == 2

    def test_refuses_a_folder_that_is_not_empty(self, tmp_path):
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "letter").write_text("keep me")
        with pytest.raises(Conflict) as caught:
            self.init(tmp_path / "home")
        assert caught.value.code == "home.exists"
        assert [path.name for path in tmp_path.rglob("*")] == ["home", "letter"]

    def test_refuses_a_file(self, tmp_path):
        (tmp_path / "home").write_text("keep me")
        with pytest.raises(Conflict):
            self.init(tmp_path / "home")
        assert (tmp_path / "home").read_text() == "keep me"

    def test_refuses_a_home(self, site):
        before = {path: path.read_bytes() for path in site.folder.iterdir() if path.is_file()}
        with pytest.raises(Conflict):
            self.init(site.folder)
        assert {p: p.read_bytes() for p in site.folder.iterdir() if p.is_file()} == before

    @pytest.mark.parametrize(
        "name", ["", "9", "-a", "a b", "ä", "a/b", "a" * 41, "a\n", "../a", "a.b"]
    )
    def test_refuses_a_name_and_leaves_nothing_behind(self, tmp_path, name):
        with pytest.raises(Invalid) as caught:
            self.init(tmp_path / "home", name)
        assert caught.value.code == "home.name"
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("exists", [False, True])
    @pytest.mark.parametrize(
        "failure",
        [Misconfigured("root.wrong"), OSError("no"), RuntimeError("no"), KeyboardInterrupt()],
    )
    def test_that_fails_leaves_nothing_behind(self, tmp_path, failure, exists):
        if exists:
            (tmp_path / "home").mkdir()

        def fail(home: homes.Home) -> SqliteDatabase:
            assert home.root_file.exists()
            raise failure

        with pytest.raises((type(failure), KeysteadError)):
            self.init(tmp_path / "home", connecting=fail)
        left = ["home"] if exists else []
        assert [path.name for path in tmp_path.rglob("*")] == left

    def test_that_fails_late_leaves_nothing_behind(self, tmp_path):
        class Failing(SqliteDatabase):
            def create_own_tables(self, tx: Any) -> None:
                super().create_own_tables(tx)
                raise Tampered("root.wrong")

        with pytest.raises(Tampered):
            self.init(tmp_path / "home", connecting=lambda home: Failing(home.database_file))
        assert list(tmp_path.iterdir()) == []

    def test_beside_another_of_the_same_name_leaves_that_one(self, tmp_path):
        """Two at once: one home, and one refusal."""

        def overtaken(home: homes.Home) -> SqliteDatabase:
            if not (tmp_path / "home").exists():
                self.init(tmp_path / "home", "first")
            return connect(home)

        with pytest.raises(Conflict) as caught:
            self.init(tmp_path / "home", "second", overtaken)
        assert caught.value.code == "home.exists"
        assert homes.read_settings(homes.Home(tmp_path / "home"), {}).name == "first"
        assert [path.name for path in tmp_path.iterdir()] == ["home"]

    def test_a_home_can_be_moved(self, site, people, tmp_path):
        site.database.close()
        shutil.move(site.folder, tmp_path / "elsewhere")
        moved = type(site)(tmp_path / "elsewhere")
        assert moved.rows() == people
        moved.database.close()
