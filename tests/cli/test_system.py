"""Properties and scheduled jobs on the command line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.cli.conftest import keystead, ok, serving

from keystead.delivery.cli.exits import EXIT_CODES


def test_a_property_is_set_and_listed(prod: Path) -> None:
    ok("property", "set", prod, "glide.ui.session_timeout", "5")
    ok("property", "set", prod, "acme.colour", "blue", "--new", "--summary", "Of the door.")
    found = {one["property"]: one for one in ok("property", "list", prod)}
    assert found["glide.ui.session_timeout"]["value"] == "5"
    assert found["acme.colour"]["summary"] == "Of the door."
    for words, family in (
        (("glide.ui.session_timeout", "never"), "invalid"),
        (("acme.color", "blue"), "not_found"),
        (("acme.colour", "red", "--new"), "conflict"),
    ):
        assert keystead("property", "set", prod, *words).code == EXIT_CODES[family]


def test_who_a_property_names_may_see_how_access_is_decided(prod: Path) -> None:
    ok("module", "create", prod, "std", "--publish")
    for user in ("ada", "bob"):
        ok("user", "add", prod, user, "--role", "helpers")
    words = ("--module", "std", "--as", "ada", "--operation", "decrypt", "--viewer", "bob")
    assert keystead("policy", "debug", prod, *words).code == EXIT_CODES["denied"]
    name = "glide.kmf.module_access_policies.debugger.authorized.roles"
    ok("property", "set", prod, name, "helpers")
    ok("policy", "debug", prod, *words)


def test_a_scheduled_job_is_run_and_decided_about(prod: Path) -> None:
    ran = ok("schedule", "run", prod, "audit.verify")
    assert (ran["failed"], "as they were written" in ran["result"]) == (False, True)
    ok("schedule", "set", prod, "audit.verify", "--every", "720", "--off")
    found = {one["operation"]: one for one in ok("schedule", "list", prod)}
    job = found["audit.verify"]
    assert (job["minutes"], job["active"], job["next_run"]) == (720, False, None)
    assert found["keys.apply_rules"]["active"]
    assert keystead("schedule", "run", prod, "rm").code == EXIT_CODES["not_found"]
    refused = keystead("schedule", "set", prod, "audit.verify", "--every", "99999999")
    assert refused.code == EXIT_CODES["invalid"]


def test_a_serving_process_runs_what_is_due(prod: Path) -> None:
    ok("schedule", "set", prod, "audit.verify", "--off")
    with serving(prod):
        while not all(one["result"] for one in ok("schedule", "list", prod) if one["active"]):
            time.sleep(0.1)
    found = {one["operation"]: one for one in ok("schedule", "list", prod)}
    assert found["audit.verify"]["last_run"] is None
    assert not any(one["failed"] for one in found.values())


def test_a_failed_run_says_what_it_found(prod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from keystead.instance import scheduled, schedules

    def failing(_instance: object) -> scheduled.Done:
        raise ValueError

    monkeypatch.setitem(scheduled._RUNS, schedules.VERIFY_AUDIT.name, failing)
    assert keystead("schedule", "run", prod, "audit.verify").code == 1
    found = {one["operation"]: one for one in ok("schedule", "list", prod)}
    assert found["audit.verify"]["failed"]
