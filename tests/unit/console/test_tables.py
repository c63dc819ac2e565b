"""Declared tables: what is listed, offered and done, by whom."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from keystead.access import accounts, authority
from keystead.access.authority import OPERATIONS, READERS, Actor
from keystead.base import clock
from keystead.delivery.console import frame
from keystead.dictionary import keys, registry
from keystead.dictionary.model import Nothing, Operation, Outcome, Report
from keystead.jobs.model import JobKind

from .conftest import PASSWORD, ROLES, text_of

MODULES = "/sys_kmf_crypto_module"
KEYS = "/sys_kmf_module_key"


def key_id(world: Any, module: str = "standard") -> str:
    return str(world.site.keys_of(module)[-1]["sys_id"])


def offered(page: Any) -> set[str]:
    """The operations for which there is a button."""
    return set(re.findall(r"[?;&]operation=([\w.]+)", unescape(page.text)))


@pytest.mark.parametrize("user", ROLES)
def test_everybody_sees_the_tables_that_he_may_see(shown: Any, user: str) -> None:
    browser = shown.as_(user)
    actor = Actor(user, user, frozenset(ROLES[user]))
    navigator = browser.get("/").text
    for name in registry.TABLES:
        may = authority.may(actor, READERS[name])
        assert browser.get(f"/{name}.list").status_code == (200 if may else 403)
        assert browser.get(f"/{name}.csv").status_code == (200 if may else 403)
        is_listed = any(name in menu.modules for menu in registry.MENUS)
        assert (f'href="/{name}.list"' in navigator) is (may and is_listed)


@pytest.mark.parametrize("user", ROLES)
def test_everybody_is_offered_what_he_may_do(shown: Any, user: str) -> None:
    browser = shown.as_(user)
    actor = Actor(user, user, frozenset(ROLES[user]))
    for name, table in registry.TABLES.items():
        if not authority.may(actor, READERS[name]):
            continue
        on_list = [table.create] if table.create else []
        may = {
            o.name
            for o in (*on_list, *table.actions)
            if authority.may_elevated(actor, OPERATIONS[o.name])
        }
        assert offered(browser.get(f"/{name}.list")) == may


@pytest.mark.parametrize("user", ["auditor", "plain"])
def test_what_is_not_offered_is_refused(world: Any, user: str) -> None:
    browser = world.as_(user)
    before = world.site.keys_of("standard")
    for operation in ("key.rotate", "key.revoke", "key.destroy", "key.suspend"):
        path = f"{KEYS}.do?operation={operation}&sys_id={key_id(world)}"
        assert browser.get(path).status_code == 403
        assert browser.post(path, {"reason": "x"}).status_code == 403
    made = browser.post(f"{MODULES}.do?operation=module.create", {"name": "mine"})
    assert made.status_code == 403
    assert world.site.keys_of("standard") == before


def test_a_key_is_rotated_by_its_button(world: Any) -> None:
    browser = world.as_("manager")
    form = browser.get(f"{KEYS}.form?sys_id={key_id(world)}")
    assert "key.rotate" in offered(form)
    assert "key.resume" not in offered(form)
    done = browser.post(f"{KEYS}.do?operation=key.rotate&sys_id={key_id(world)}")
    assert "is active (version 2)" in text_of(done)
    assert done.url.path == f"{KEYS}.form"
    assert "is active (version 2)" not in text_of(browser.get("/"))
    assert len(world.site.keys_of("standard")) == 2


def test_an_operation_with_parameters_asks_for_them(world: Any) -> None:
    browser = world.as_("manager")
    path = f"{MODULES}.do?operation=module.create"
    page = browser.get(path)
    assert "Equality preserving: equal, so" in text_of(page)
    assert '<option value="standard" selected>' in page.text
    refused = browser.post(path, {"name": "bad;name", "scheme": "standard"})
    assert refused.status_code == 400
    assert 'value="bad;name"' in refused.text
    made = browser.post(
        path, {"name": "made.here", "scheme": "equality preserving", "decrypts_suspended": "true"}
    )
    assert "Module 'made.here' is a draft" in text_of(made)


def test_a_form_says_itself_what_must_be_given(world: Any) -> None:
    with world.site.transaction() as tx:
        accounts.set_password(tx, world.site.integrity, "root", PASSWORD, "test")
    browser = world.as_("root")
    browser.elevate()
    row = re.search(r"/sys_user\.form\?sys_id=(\w+)", browser.get("/sys_user.list").text)
    assert row
    asked = browser.get(f"/sys_user.do?operation=user.set_password&sys_id={row[1]}").text
    assert f'minlength="{accounts.SHORTEST_PASSWORD}"' in asked
    policy = browser.get("/sys_kmf_crypto_caller_policy.do?operation=policy.create").text
    assert re.search(r'<input type="radio" name="module"[^>]* required>', policy)
    assert not re.search(r'<input type="radio" name="specification"[^>]* required>', policy)


def test_danger_is_confirmed_first(world: Any) -> None:
    browser = world.as_("manager")
    page = browser.get(f"{KEYS}.do?operation=key.suspend&sys_id={key_id(world)}")
    assert "encrypts nothing until the key is resumed" in text_of(page)
    assert world.site.keys_of("standard")[0]["state"] == "active"


def test_what_does_not_fit_the_state_is_refused(world: Any) -> None:
    browser = world.as_("manager")
    path = f"{KEYS}.do?operation=key.resume&sys_id={key_id(world)}"
    assert browser.get(path).status_code == 409
    assert browser.post(path).status_code == 409


def test_what_needs_elevation_leads_there_and_back(world: Any) -> None:
    with world.site.transaction() as tx:
        accounts.set_password(tx, world.site.integrity, "root", PASSWORD, "test")
    world.site.rotate("standard")
    browser = world.as_("root")
    path = f"{KEYS}.do?operation=key.destroy&sys_id={world.site.keys_of('standard')[0]['sys_id']}"
    asked = browser.get(path)
    assert asked.url.path == "/elevate"
    onward = re.search(r'name="next" value="([^"]*)"', asked.text)
    assert onward
    back = browser.post("/elevate", {"password": PASSWORD, "next": unescape(onward[1])})
    assert str(back.url).endswith(path)
    assert "This cannot be undone." in text_of(back)


@pytest.mark.parametrize(
    ("search", "versions"),
    [("search.state=%3Dactive", ["2"]), ("search.module_id=global.s%25&sort=version", ["1", "2"]),
     ("search.version=1&search.module_id=*dar", ["1"]), ("search.state=x", []),
     ("sysparm_query=state=active", ["2"]), ("sort=version&descending=true", ["2", "1"])],
)  # fmt: skip
def test_declared_rows_are_searched_and_sorted(
    world: Any, search: str, versions: list[str]
) -> None:
    world.site.rotate("standard")
    module = "&search.module_id=standard" if "module_id" not in search else ""
    page = world.as_("auditor").get(f"{KEYS}.list?{search}{module}")
    assert re.findall(r'<td class="number">(\d+)</td>', page.text) == versions


def test_related_lists_and_references_lead_on(world: Any) -> None:
    browser = world.as_("auditor")
    module = re.search(
        r'href="(/sys_kmf_crypto_module\.form[^"]*)"', browser.get(f"{MODULES}.list").text
    )
    assert module
    form = browser.get(unescape(module[1]))
    assert "Module Keys 1" in " ".join(text_of(form).split())
    key = browser.get(f"{KEYS}.form?sys_id={key_id(world)}")
    assert re.search(
        r'<a href="/sys_kmf_crypto_module\.form\?sys_id=\w+">global.standard</a>', key.text
    )
    history = browser.get(f"/history?table=sys_kmf_module_key&sys_id={key_id(world)}")
    assert "key.generate" in history.text


def test_choices_are_looked_up(world: Any) -> None:
    browser = world.as_("manager")
    name = next(o.name for o in registry.OPERATIONS.values() if o.name == "exchange.request")
    path = f"/choices?of={name}&parameter=crypto_specifications&look.crypto_specifications="
    assert browser.get(path).text.count("checkbox") == 2
    assert browser.get(path + "stand").text.count("checkbox") == 1
    assert "Nothing fits" in browser.get(path + "%3Cb%3E").text
    assert world.as_("plain").get(path).status_code == 403
    assert browser.get("/choices?of=none").status_code == 404


def test_what_is_shown_once_is_on_one_page_and_nowhere_else(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Outcome("Made.", keys.KEYS.name, None, shown_once={"token <b>": "kst_<secret>"})
    _declare(monkeypatch, lambda *_given: told)
    browser = world.as_("root")
    answer = browser.client.post(
        f"{MODULES}.do?operation=module.create",
        data={"csrf": browser.csrf()},
        headers={"Origin": "https://console.test"},
        follow_redirects=False,
    )
    assert answer.status_code == 200
    assert "kst_&lt;secret&gt;" in answer.text
    assert "kst_" not in str(answer.headers)
    assert "kst_" not in browser.get("/").text


def test_a_report_is_shown_as_a_table(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report("Why <b>", ("policy", "applies"), (("<i>one", True), (None, 3)))
    _declare(monkeypatch, lambda *_given: Outcome("Looked.", keys.KEYS.name, report=report))
    page = world.as_("root").post(f"{MODULES}.do?operation=module.create")
    assert "<td>&lt;i&gt;one</td><td>yes</td>" in page.text
    assert "<b>" not in page.text


def _declare(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    """Another operation behind New."""
    other = Operation("module.create", "New", "Make one.", run, Nothing)
    changed = replace(registry.TABLES[keys.MODULE_TABLE.name], create=other)
    monkeypatch.setitem(registry.TABLES, changed.name, changed)


def test_a_message_that_was_planted_is_text(world: Any) -> None:
    browser = world.as_("plain")
    kept = frame._kept(frame.Message("<script>x</script>", "good"))
    name = frame.Cookies(world.site.instance.settings.instance_id).said
    for value in (kept, "nonsense", "e30="):
        browser.client.cookies.set(name, value)
        page = browser.get("/")
        assert page.status_code == 200
        assert "<script>x" not in page.text
        browser.client.cookies.delete(name)


@pytest.mark.parametrize(
    ("text", "path"),
    [("people.list", "/people.list"), ("stats.do", "/stats.do"), ("STATS.DO", "/stats.do"),
     ("sys_kmf_module_key.LIST", "/sys_kmf_module_key.list"), ("people.form", "/people.form")],
)  # fmt: skip
def test_the_navigator_takes_names_of_pages(shown: Any, text: str, path: str) -> None:
    page = shown.as_("root").get("/nav_to.do", params={"q": text})
    assert (page.url.path, page.status_code) == (path, 200)


def test_the_navigator_finds_by_label_and_term(shown: Any) -> None:
    browser, head = shown.as_("root"), {"HX-Request": "true"}
    found = browser.get("/nav_to.do?q=module_key", headers=head).text
    assert 'href="/sys_kmf_module_key.list"' in found
    assert "<html" not in found
    assert "people.list" not in found
    assert 'href="/people.list"' in browser.get("/nav_to.do?q=PEOP", headers=head).text
    assert "Nothing fits" in browser.get("/nav_to.do?q=zzz", headers=head).text


def test_statistics_name_the_instance(shown: Any) -> None:
    text = text_of(shown.as_("plain").get("/stats.do"))
    assert shown.site.instance.settings.instance_id in text
    assert "SQLite" in text


def test_the_first_page_counts_what_there_is(world: Any) -> None:
    browser = world.as_("root")
    text = " ".join(text_of(browser.get("/")).split())
    assert "2 published" in text
    assert "2 active" in text
    values = " ".join(text_of(browser.get("/home/values")).split())
    assert "standard v1 active" in values
    assert "encrypted values in 5 places" in values
    assert world.as_("plain").get("/home/values").status_code == 403
    assert "Values by key" not in world.as_("plain").get("/").text


def test_a_job_shows_how_far_it_is(world: Any) -> None:
    world.site.rotate("standard")
    job = world.site.start(JobKind.REKEY)
    browser = world.as_("root")
    home = browser.get("/").text
    assert "mass rekeying: people" in home
    assert 'hx-trigger="every 2s"' in browser.get("/home/jobs").text
    path = f"/progress?table=keystead_job&sys_id={job}"
    assert "every 2s" in browser.get(f"/keystead_job.form?sys_id={job}").text
    going_on = browser.get(path)
    assert "every 2s" in going_on.text
    assert "hx-refresh" not in going_on.headers
    world.site.move(job)
    world.site.scrub(job)
    assert "every 2s" not in browser.get("/home/jobs").text
    done = browser.get(path)
    assert "12 of 12 (100 %)" in done.text
    assert "every 2s" not in done.text
    assert done.headers["hx-refresh"] == "true"  # its buttons and dates are others now
    assert "hx-refresh" not in browser.get("/home/jobs").headers


def test_what_a_page_asks_for_by_itself_keeps_no_session(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = world.as_("root")

    def seen() -> Any:
        return world.site.sql("SELECT seen_at FROM keystead_session")

    before = seen()
    later = clock.after(120)
    monkeypatch.setattr("keystead.base.clock.now", lambda: later)
    browser.get("/home/jobs")
    assert seen() == before
    browser.get("/")
    assert seen() == [(later,)]


def test_static_files_are_kept_by_their_content(shown: Any) -> None:
    browser = shown.browser()
    page = browser.get("/login").text
    paths = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
    assert {path.partition("?")[0] for path in paths} == {
        "/static/mark.svg",
        "/static/console.css",
        "/static/htmx-2.0.10.min.js",
    }
    for path in paths:
        answer = browser.get(path)
        assert "immutable" in answer.headers["cache-control"]
        assert "url(http" not in answer.text
    for path in ("/static/none", "/static/..%2Fframe.py", "/static/frame.py"):
        assert browser.get(path).status_code == 404
