"""Seed 000, "Configure Key Exchange", in the browser: the form, field for field."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import Person, Served
from tests.cli.conftest import ok, pair

FORM = "Resource Exchange Requests"


@pytest.mark.walkthrough
def test_a_request_is_submitted_and_pending_in_both_instances(
    serve: Callable[..., list[Served]], visiting: Callable[..., Person], tmp_path: Path
) -> None:
    source, target = serve("source", "target")
    pair(source.home, target.home)
    # Before you begin: cryptographic modules in both, as a clone without their keys leaves them.
    file = tmp_path / "incident.csv"
    file.write_text("number,caller,symptom\n1,Ann,東京\n2,Zoë,none\n", encoding="utf-8")
    ok("load", source.home, "incident", file)
    for module, column in (("callers", "caller"), ("symptoms", "symptom")):
        ok("module", "create", source.home, module, "--publish")
        ok("field", "add", source.home, "incident", column, "--module", module)
    ok("encrypt", source.home, "incident")
    plan = ok("clone", "plan", source.home, "--target", "target", "--keys", "withheld")
    ok("clone", "run", source.home, plan["clone"])
    there = visiting(source.url).log_in(source.user, source.password)
    here = visiting(target.url).log_in(target.user, target.password)

    # The tip: stats.do in the navigator says the instance id.
    there.go_to("stats.do")
    source_id = there.fact("Instance id").inner_text().strip()
    assert len(source_id) == 32

    # 1. All > Key Management > Resource Exchange Requests > New.
    here.navigate(FORM)
    crumbs = here.page.get_by_role("navigation", name="Filter")
    expect(crumbs.get_by_role("link", name="All")).to_be_visible()
    here.press("New")

    # 2. The fields of the form.
    page = here.page
    frequency = page.get_by_label("Exchange Frequency")
    expect(frequency).to_have_accessible_description(re.compile("the source grants it"))
    frequency.select_option("One Time Clone")
    here.choose("Source Instance sys_id", source_id)
    page.get_by_label("Source Instance Host").fill(source.url.removeprefix("https://"))
    here.choose("Crypto Specifications", "callers", "symptoms")
    rekeying = page.get_by_label("Enable Rekeying after Key Imported")
    expect(rekeying).not_to_be_checked()
    rekeying.check()

    # 3. Submit: the confirmation at the top, and a row in both instances.
    here.press("Submit")
    here.sees("Request Pending: 'source' is being asked for the keys.")
    expect(here.fact("Status")).to_have_text("Request Pending")
    expect(here.fact("This instance is the")).to_have_text("target")
    expect(here.fact("Crypto Specifications")).to_have_text("global.callers, global.symptoms")
    expect(here.fact("Enable Rekeying after Key Imported")).to_have_text("Yes")
    expect(here.fact("Imported Key Count")).to_have_text("0")
    request = here.fact("Id").inner_text().strip()
    for one in (here, there):
        one.navigate(FORM)
        expect(one.page.get_by_role("link", name="Request Pending")).to_have_count(1)
        one.open("Request Pending")
        expect(one.fact("Id")).to_have_text(request)
        expect(one.fact("Status")).to_have_text("Request Pending")
        expect(one.fact("Exchange Frequency")).to_have_text("One Time Clone")
