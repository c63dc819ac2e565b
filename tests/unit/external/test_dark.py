"""What goes on while an external key may not be used, and what waits for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.conftest import ACTOR, PEOPLE, Site, connect
from tests.unit.external.conftest import Watched
from tests.unit.external.vendor import Vendor

from keystead.attachments.contents import PIECE
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, KeysteadError
from keystead.external.provider import Answer
from keystead.fields import census, due
from keystead.fields import service as fields
from keystead.instance import backup, backup_file, opening, restoring
from keystead.instance.restoring import Restored
from keystead.instance.rotation import rotate_root
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import rules
from keystead.keys import service as keys
from keystead.keys.rule_model import Date, Rule
from keystead.records.attached import Desk
from keystead.records.session import Caller

COLUMNS = ("name", "city", "salary", "email", "team")
CONTENT = b"x" * (3 * PIECE)


def darken(site: Watched, answer: Answer = Answer.DISABLED) -> None:
    site.vendor.state = answer
    site.clock.now += 61


def lighten(site: Watched) -> None:
    site.vendor.state = Answer.ENABLED
    site.clock.now += 61


def totals(site: Site) -> tuple[int, int, int]:
    counted = site.open_all().values()
    return tuple(  # type: ignore[return-value]
        sum(getattr(c, what) for c in counted) for what in ("opened", "unreadable", "dark")
    )


# --- census --------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [Answer.DISABLED, Answer.UNREACHABLE, Answer.MISSING])
def test_a_census_counts_dark_values_by_themselves(wrapped, answer):
    opened, unreadable, dark = totals(wrapped)
    assert opened
    assert (unreadable, dark) == (0, 0)
    darken(wrapped, answer)
    assert totals(wrapped) == (0, 0, opened)
    lighten(wrapped)
    assert totals(wrapped) == (opened, 0, 0)


def test_what_is_tampered_with_is_not_called_dark(wrapped):
    opened, _, _ = totals(wrapped)
    value = wrapped.cell("name", "p01")
    wrapped.put("name", "p01", value[:-2] + ("AA" if value[-2:] != "AA" else "BB"))
    assert totals(wrapped) == (opened - 1, 1, 0)


def test_one_dark_module_leaves_the_others_readable(watched):
    watched.configure_external()
    watched.external.wrap_module("standard", "kms", ACTOR)
    darken(watched)
    counted = watched.open_all()
    for column, census_of in counted.items():
        is_standard = column in ("name", "city", "salary")
        assert bool(census_of.dark) == is_standard
        assert bool(census_of.opened) == (not is_standard)
        assert census_of.unreadable == 0


# --- mass jobs -----------------------------------------------------------------------------------


def test_a_mass_job_on_a_dark_module_fails_with_the_reason_and_goes_on_later(wrapped, interrupted):
    wrapped.rotate()
    before = wrapped.stored()
    job_id = wrapped.start(JobKind.REKEY)
    darken(wrapped)
    with pytest.raises(Denied) as caught:
        wrapped.move(job_id)
    assert caught.value.code == "external.dark"
    failed = wrapped.job(job_id)
    assert (failed["state"], failed["error_code"]) == ("failed", "external.dark")
    assert wrapped.stored() == before
    lighten(wrapped)
    with wrapped.transaction() as tx:
        jobs.resume(tx, job_id, ACTOR)
    wrapped.move(job_id)
    wrapped.scrub(job_id)
    assert wrapped.job(job_id)["state"] == "done"
    assert wrapped.rows() == PEOPLE


def test_a_mass_job_stops_at_the_page_at_which_a_lease_ends(wrapped, interrupted):
    wrapped.rotate()
    job_id = wrapped.start(JobKind.REKEY)

    def end(page: int) -> None:
        if page == 2:
            darken(wrapped)

    with pytest.raises(Denied):
        wrapped.move(job_id, interrupted(wrapped, end))
    done = wrapped.job(job_id)["done"]
    assert done == 5, "the first page"
    lighten(wrapped)
    assert wrapped.rows() == PEOPLE
    with wrapped.transaction() as tx:
        jobs.resume(tx, job_id, ACTOR)
    wrapped.move(job_id)
    wrapped.scrub(job_id)
    newest = {wrapped.keys_of(module)[-1]["sys_id"] for module in ("standard", "equal")}
    assert {key for c in wrapped.open_all().values() for key in c.by_key} == newest
    assert wrapped.rows() == PEOPLE


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_that_nothing_needs_is_destroyed_in_the_dark(wrapped):
    wrapped.rotate()
    wrapped.rekey()
    old = wrapped.keys_of("standard")[0]
    darken(wrapped)
    with wrapped.transaction() as tx:
        needs = census.needs(wrapped.database, wrapped.hierarchy)
        keys.destroy(
            tx, wrapped.hierarchy, keys.key(tx, wrapped.hierarchy, old["sys_id"]), needs, ACTOR
        )
    assert wrapped.keys_of("standard")[0]["material"] is None
    lighten(wrapped)
    assert wrapped.rows() == PEOPLE


def test_a_key_that_values_need_is_not_destroyed_because_it_is_dark(wrapped):
    wrapped.rotate()
    old = wrapped.keys_of("standard")[0]
    darken(wrapped)
    needs = census.needs(wrapped.database, wrapped.hierarchy)
    with pytest.raises(Conflict) as caught, wrapped.transaction() as tx:
        keys.destroy(
            tx, wrapped.hierarchy, keys.key(tx, wrapped.hierarchy, old["sys_id"]), needs, ACTOR
        )
    assert caught.value.code == "key.needed"


@pytest.mark.parametrize("with_kek", [False, True], ids=["root", "kek"])
@pytest.mark.parametrize("is_dark", [False, True], ids=["enabled", "dark"])
def test_a_new_root_key_needs_no_external_key(wrapped, sealed, with_kek, is_dark):
    before = {row["sys_id"]: row["material"] for row in wrapped.keys_of("standard")}
    if is_dark:
        darken(wrapped)
    for site in (wrapped, sealed):  # both have the home open
        site.instance.close()
    calls = len(wrapped.vendor.calls)
    rotate_root(wrapped.folder, connect, ACTOR, lambda _key: None, with_kek=with_kek)
    assert len(wrapped.vendor.calls) == calls
    wrapped.vendor.state = Answer.ENABLED
    again = Watched(wrapped.folder, wrapped.vendor)
    try:
        assert {row["sys_id"]: row["material"] for row in again.keys_of("standard")} == before
        assert again.rows() == PEOPLE
        again.rotate()
    finally:
        again.close()


def test_one_dark_module_does_not_stop_the_rules_of_the_others(watched):
    watched.configure_external()
    watched.external.wrap_module("equal", "kms", ACTOR)
    for module in ("standard", "equal"):
        with watched.transaction() as tx:
            rules.add_rule(
                tx, watched.hierarchy, module, Rule(Date.ROTATION, 1, clock.after(0.05)), ACTOR
            )
    darken(watched)
    moment = clock.after(0.05)
    while clock.now() <= moment:
        pass
    done = {one.module: one for one in due.apply_rules(watched.database, watched.hierarchy)}
    assert done["global.equal"].held_back == "external.dark"
    assert done["global.standard"].held_back is None
    assert len(watched.keys_of("standard")) == 2
    assert len(watched.keys_of("equal")) == 1
    lighten(watched)
    due.apply_rules(watched.database, watched.hierarchy)
    assert len(watched.keys_of("equal")) == 2


# --- backup and restore --------------------------------------------------------------------------


def restored(site: Watched, templates: Any, folder: Path) -> Restored:
    file = backup.make(
        site.instance, folder / "prod.backup", None, ACTOR, lambda *_progress: None
    ).file
    return restoring.restore(
        file,
        folder / "restored",
        backup_file.by_recovery_key(templates.recovery_key),
        connect,
        ACTOR,
        lambda *_progress: None,
        open_provider=site.vendor.open_provider,
    )


def test_a_restored_instance_opens_what_its_provider_opens(wrapped, templates, tmp_path):
    opened, _, _ = totals(wrapped)
    done = restored(wrapped, templates, tmp_path)
    assert (done.opened, done.unreadable, done.dark) == (opened, 0, 0)
    assert (done.begun.rotated_keys, done.begun.owed_keys) == (2, 0)
    again = Watched(tmp_path / "restored", wrapped.vendor)
    assert again.rows() == PEOPLE
    again.close()


@pytest.mark.parametrize("answer", [Answer.UNREACHABLE, Answer.DISABLED, Answer.DENIED])
@pytest.mark.parametrize("with_rule", [False, True], ids=["no rule", "a rule"])
def test_a_restore_goes_on_without_the_provider_and_rotates_later(
    wrapped, templates, tmp_path, answer, with_rule
):
    opened, _, _ = totals(wrapped)
    if with_rule:  # it gives the key another date for its rotation
        with wrapped.transaction() as tx:
            rule = Rule(Date.ROTATION, 1, clock.after(10**6))
            rules.add_rule(tx, wrapped.hierarchy, "standard", rule, ACTOR)
    wrapped.vendor.state = answer
    done = restored(wrapped, templates, tmp_path)
    assert (done.opened, done.unreadable, done.dark) == (0, 0, opened)
    assert (done.begun.rotated_keys, done.begun.owed_keys, done.begun.kept_keys) == (0, 2, 0)
    again = Watched(tmp_path / "restored", wrapped.vendor)
    try:
        (held_back, _) = due.apply_rules(again.database, again.hierarchy)
        assert (held_back.action, held_back.held_back) == ("rotate", "external.dark")
        assert [len(again.keys_of(module)) for module in ("standard", "equal")] == [1, 1]
        lighten(again)
        due.apply_rules(again.database, again.hierarchy)
        assert [len(again.keys_of(module)) for module in ("standard", "equal")] == [2, 2]
        assert due.apply_rules(again.database, again.hierarchy) == []
        assert again.rows() == PEOPLE
    finally:
        again.close()


def test_a_restore_that_cannot_open_a_provider_at_all_goes_on(wrapped, templates, tmp_path):
    wrapped.vendor.open_provider = opening.no_provider  # type: ignore[method-assign]
    done = restored(wrapped, templates, tmp_path)
    assert done.opened == 0
    assert done.dark


def test_neither_half_of_a_stolen_backup_opens_anything(wrapped, templates, tmp_path):
    """Who has the backup and its recovery key, and another external key, reads nothing."""
    wrapped.vendor.versions[:] = Vendor().versions
    done = restored(wrapped, templates, tmp_path)
    assert done.opened == 0
    assert done.dark


# --- attachments ---------------------------------------------------------------------------------


def desk(site: Watched) -> Desk:
    caller = Caller("both", ACTOR)
    return Desk(site.database, site.hierarchy, site.recorder, site.meter, caller, 16)


@pytest.fixture
def attached(wrapped: Watched) -> tuple[Watched, str]:
    with wrapped.transaction() as tx:
        fields.configure_attachments(
            tx, wrapped.database, wrapped.hierarchy, table="people", module="standard", actor=ACTOR
        )
    upload = desk(wrapped).upload("people", "p01", "a.txt", "text/plain")
    upload.write(CONTENT)
    return wrapped, upload.finish().sys_id


def test_a_download_stops_when_its_external_key_goes_dark(attached):
    site, attachment_id = attached
    chunks = desk(site).download(attachment_id).chunks
    given = [next(chunks), next(chunks)]
    darken(site)
    with pytest.raises(KeysteadError) as caught:
        given.extend(chunks)
    assert caught.value.code == "external.dark"
    assert len(b"".join(given)) < len(CONTENT)
    lighten(site)
    assert b"".join(desk(site).download(attachment_id).chunks) == CONTENT


def test_a_dark_attachment_is_listed_without_its_facts(attached):
    site, attachment_id = attached
    assert desk(site).one(attachment_id).facts.file_name == "a.txt"
    darken(site)
    listed, count = desk(site).of("people", None, 10)
    assert count == 1
    assert listed[0].facts.file_name == ""
    with pytest.raises(Denied):
        desk(site).download(attachment_id)


def test_a_census_calls_a_dark_attachment_dark(attached):
    site, _ = attached
    (found,) = [c for name, c in site.open_all().items() if name not in COLUMNS]
    assert (found.opened, found.unreadable, found.dark) == (1, 0, 0)
    darken(site)
    (found,) = [c for name, c in site.open_all().items() if name not in COLUMNS]
    assert (found.opened, found.unreadable, found.dark) == (0, 0, 1)
