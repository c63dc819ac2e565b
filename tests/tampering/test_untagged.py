"""The tables whose rows are not tagged: what is changed there is noticed, or decides nothing."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Column, Integer, Table
from tests.tampering.world import ACTOR, USES, World
from tests.unit.exchange.pairs import Refused, ask, copy_modules, specification

from keystead.access.tables import REJECTIONS
from keystead.audit import log
from keystead.audit.tables import AUDIT, HEADS, NODES
from keystead.base.errors import KeysteadError, Misconfigured, Tampered
from keystead.clone import source
from keystead.clone.source import CloneJob
from keystead.database.anchors import ANCHORS, REVISIONS
from keystead.exchange import service as exchange
from keystead.exchange.messages import SEEN_MESSAGES
from keystead.instance import auditing, opening
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.jobs.service import JOBS
from keystead.keys import service as keys
from keystead.keys.tables import INSTANCE_KEYS

AUDITED = [(t, c) for t in (AUDIT, NODES, HEADS) for c in t.columns]
KEY_COLUMNS = [c for c in INSTANCE_KEYS.columns if c.name != "sys_id"]  # a name that nobody uses


def sign(world: World) -> None:
    auditing.sign(world.home, world.database, world.hierarchy)


def verify(world: World) -> tuple[Any, ...]:
    """What is found wrong; what cannot even be read is found too."""
    try:
        verified = auditing.verify(
            world.home, world.database, world.hierarchy, lambda _phase, _done, _of: None
        )
    except Tampered as error:
        return (error,)
    return verified.findings


def open_again(world: World) -> None:
    opening.open_instance(world.home.folder, world.site.connect).close()


def opens(world: World, what: str) -> list[str]:
    try:
        open_again(world)
    except (Misconfigured, Tampered):
        return []
    return [what]


# --- the audit log and its heads ---


@pytest.mark.parametrize(("table", "column"), AUDITED, ids=[str(c) for _, c in AUDITED])
def test_a_column_of_the_audit_log_changed(world: World, table: Table, column: Column[Any]) -> None:
    sign(world)
    assert verify(world) == ()
    row = world.rows(table)[0]
    value = row[column.name]
    for other in (value + 700, "x") if isinstance(column.type, Integer) else (f"{value}x", ""):
        world.loosen(table)
        try:
            world.set(table, row, **{column.name: other})
        except Refused:
            assert other == "x"  # a number is taken
            continue
        assert verify(world)
        world.set(table, {**row, column.name: other}, **row)
        assert verify(world) == ()


@pytest.mark.parametrize("table", [AUDIT, NODES], ids=lambda table: table.name)
def test_rows_of_the_audit_log_deleted_doubled_or_swapped(world: World, table: Table) -> None:
    sign(world)
    world.loosen(table)
    one, two, *_, last = world.rows(table)
    first = {k: v for k, v in one.items() if k != "sequence"}
    second = {k: v for k, v in two.items() if k != "sequence"}
    world.set(table, one, **second)
    world.set(table, two, **first)
    assert verify(world)
    world.set(table, {**two, **first}, **second)
    world.set(table, {**one, **second}, **first)
    assert verify(world) == ()
    for row in (one, last):
        world.put(table, row)
        assert verify(world)
        world.node.past.remove_one(table.name, "sequence", row["sequence"])
        world.sql(f"DELETE FROM {table.name} WHERE sequence = ?", row["sequence"])
        assert verify(world)
        world.put(table, row)


def test_a_log_written_anew_with_a_tree_of_its_own_is_not_the_signed_one(world: World) -> None:
    """Whoever can write can compute every hash again; what was signed before says otherwise."""
    sign(world)
    world.sql("UPDATE keystead_audit SET actor = 'somebody else' WHERE sequence = 3")
    with world.database.transaction() as tx:
        log.rebuild(tx)
    for refusing in (open_again, sign):
        with pytest.raises(Tampered):
            refusing(world)
    assert verify(world)


# --- anchors, and the revisions that name what differs ---


@pytest.mark.parametrize("column", ANCHORS.columns.values(), ids=str)
def test_a_column_of_an_anchor_changed(world: World, column: Column[Any]) -> None:
    world.loosen(ANCHORS)
    for row in world.rows(ANCHORS):
        value = row[column.name]
        world.set(ANCHORS, row, **{column.name: value + 1 if isinstance(value, int) else "x"})
        with pytest.raises(Tampered):
            USES[row["table_name"]](world)
        (changed,) = [r for r in world.rows(ANCHORS) if r["tag"] == row["tag"]] or [
            r for r in world.rows(ANCHORS) if r["sys_id"] == row["sys_id"]
        ]
        world.set(ANCHORS, changed, **row)


def test_anchors_in_each_others_place(world: World) -> None:
    world.loosen(ANCHORS)
    one, two, *_ = world.rows(ANCHORS)
    world.set(ANCHORS, one, table_name="neither")
    world.set(ANCHORS, two, table_name=one["table_name"])
    world.set(ANCHORS, {**one, "table_name": "neither"}, table_name=two["table_name"])
    for row in (one, two):
        with pytest.raises(Tampered):
            USES[row["table_name"]](world)


@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET revision = revision + 1"])
def test_revisions_decide_nothing(world: World, change: str) -> None:
    for name, use in USES.items():
        world.node.restore()
        world.sql(change.format(REVISIONS.name))
        use(world)
        world.node.restore()
        world.sql(change.format(REVISIONS.name))
        world.sql(f'DELETE FROM "{name}"')
        with pytest.raises(Tampered):
            use(world)


# --- the keys that the root key wraps ---


@pytest.mark.parametrize("column", KEY_COLUMNS, ids=str)
def test_a_wrapped_key_changed_swapped_or_deleted(world: World, column: Column[Any]) -> None:
    world.loosen(INSTANCE_KEYS)
    rows = world.rows(INSTANCE_KEYS)
    before = world.rows(JOBS)
    opened = []
    for row in rows:
        other = next(r for r in rows if r["purpose"] != row["purpose"])
        value = row[column.name]
        for changed in ("", "x", f"{value}A", f"x{value}", value.swapcase(), other[column.name]):
            try:
                world.set(INSTANCE_KEYS, row, **{column.name: changed})
            except Refused:
                continue
            opened += opens(world, f"{row['purpose']}: {value} is {changed}")
            world.set(INSTANCE_KEYS, {**row, column.name: changed}, **row)
        world.sql("DELETE FROM keystead_instance_key WHERE purpose = ?", row["purpose"])
        opened += opens(world, f"without {row['purpose']}")
        world.put(INSTANCE_KEYS, row)
    assert opened == []
    open_again(world)
    assert world.rows(JOBS) == before


def test_a_wrapped_key_of_another_instance(world: World) -> None:
    for row in world.rows(INSTANCE_KEYS):
        ((theirs,),) = world.net.third.sql(
            "SELECT material FROM keystead_instance_key WHERE purpose = ?", row["purpose"]
        )
        world.set(INSTANCE_KEYS, row, material=theirs)
        with pytest.raises((Misconfigured, Tampered)):
            open_again(world)
        world.set(INSTANCE_KEYS, {**row, "material": theirs}, **row)


# --- jobs ---


def forged(world: World, kind: JobKind, subject: str) -> str:
    """A job that nobody asked for."""
    row = {
        **world.rows(JOBS)[0],
        **{"sys_id": "f" * 32, "kind": kind.value, "subject": subject, "state": "new"},
        **{"arguments": '{"rows_per_second": null}', "cursor": "null", "counts": "{}"},
    }
    world.put(JOBS, row)
    return str(row["sys_id"])


def test_a_forged_job_sends_no_planned_clone(world: World) -> None:
    channel = world.net.channel(world.node)
    job_id = forged(world, JobKind.CLONE, world.clone)
    with pytest.raises(Tampered) as error:
        jobs.run_stage(
            world.database, job_id, CloneJob(world.database, world.hierarchy, channel).copy
        )
    assert error.value.facts == {"row": job_id, "table": JOBS.name}
    assert channel.sent == []


def test_nor_one_that_runs_by_another_job_or_was_cancelled(world: World) -> None:
    world.writing(lambda tx: jobs.cancel_unfinished(tx, ACTOR))
    own = world.writing(lambda tx: source.request(tx, world.hierarchy, world.clone, ACTOR))
    channel = world.net.channel(world.node)
    copy = CloneJob(world.database, world.hierarchy, channel).copy
    job_id = forged(world, JobKind.CLONE, world.clone)
    with pytest.raises(Tampered):
        jobs.run_stage(world.database, job_id, copy)
    world.writing(lambda tx: jobs.cancel(tx, str(own), ACTOR))
    world.writing(lambda tx: source.cancel(tx, world.hierarchy, world.clone, ACTOR))
    world.sql("UPDATE keystead_job SET state = 'new' WHERE sys_id = ?", own)
    with pytest.raises(Tampered):
        jobs.run_stage(world.database, str(own), copy)
    assert channel.sent == []


def test_a_request_that_no_policy_grants_waits(world: World) -> None:
    """The source decides by its own tagged policies, whatever the target's jobs ask it for."""
    third = world.net.third
    copy_modules(world.node, third)
    asked = ask(third, world.node, [specification(world.node, "people")], "kept")
    held = {row["sys_id"] for row in third.key_rows()}
    channel = world.net.channel(third)
    for _ in range(2):
        done = exchange.obtain(
            third.db, third.hierarchy, channel, asked["sys_id"], lambda _tx: None
        )
        assert done["status"] == "Request Pending"
        assert {row["sys_id"] for row in third.key_rows()} == held


@pytest.mark.parametrize("column", [c for c in JOBS.columns if c.name not in ("sys_id",)], ids=str)
def test_a_changed_job_moves_nothing_out_of_place(world: World, column: Column[Any]) -> None:
    """Whatever stands in its row, a mass job ends with every value readable, or is refused."""
    clear = world.show()
    other: dict[str, list[object]] = {
        "kind": ["mass encryption", "clone", "x"],
        "subject": ["keystead_job", "nothing", "sys_user"],
        "arguments": ["{}", "x", '{"keys": {}, "rows_per_second": null}'],
        "cursor": ['["p9"]', "x", "[1, 2]"],
        "counts": ["[]", "x"],
        "state": ["done", "cancelled", "x"],
    }
    values = other.get(column.name, [9] if isinstance(column.type, Integer) else ["x"])
    for value in values:
        world.node.restore()
        world.writing(lambda tx: keys.rotate(tx, world.hierarchy, "names", ACTOR))
        job_id = world.start(JobKind.REKEY)
        world.sql(f'UPDATE keystead_job SET "{column.name}" = ? WHERE sys_id = ?', value, job_id)
        with suppress(KeysteadError, ValueError, TypeError, AttributeError, KeyError):
            world.finish(job_id)
        assert world.show() == clear


# --- messages that were received, and refusals that were enforced ---


def test_a_message_received_again_after_its_row_is_gone_does_nothing_again(world: World) -> None:
    target, channel = world.net.test, world.net.channel(world.net.test)
    done = exchange.obtain(target.db, target.hierarchy, channel, world.request, lambda _tx: None)
    assert done["status"] == "Exchange Complete"
    before = {name: world.node.rows(name) for name in world.node.tables() if name != AUDIT.name}
    for _, frame in channel.sent:
        world.sql(f"DELETE FROM {SEEN_MESSAGES.name}")
        with suppress(KeysteadError):
            world.node.receive(frame)
    after = {name: world.node.rows(name) for name in before}
    for name in (NODES.name, SEEN_MESSAGES.name, "sqlite_sequence"):
        before.pop(name, None)
        after.pop(name, None)
    assert after == before


def test_refusals_on_record_decide_nothing(world: World) -> None:
    shown = world.show(), world.show(user="rita")
    assert shown[0] != shown[1]
    for change in (
        "UPDATE {} SET result = 'track', caller = 'sven', last_enforced = 'x'",
        "DELETE FROM {}",
    ):
        world.sql(change.format(REJECTIONS.name))
        assert (world.show(), world.show(user="rita")) == shown
