"""Values whose external key was pulled: said to be dark, and saved around, in console and API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.console.conftest import World, text_of
from tests.unit.console.test_records import save, seen_of, value_of
from tests.unit.delivery.test_table_api import PEOPLE, Api
from tests.unit.external.conftest import Watched
from tests.unit.external.vendor import Vendor

from keystead.external.provider import Answer
from keystead.instance import external_watch

NAME, NOTE = "Zoë Ångström", "one"
DARK = "cannot be opened here now"


class Pulled(Watched):
    """A site under the external key "kms", which can be pulled and given back."""

    def __init__(self, folder: Any) -> None:
        super().__init__(folder, Vendor())
        self.configure_external()
        self.wrap_all()
        self.instance = replace(self.instance, hierarchy=self.hierarchy, external=self.external)

    def pull(self, state: Answer = Answer.DISABLED) -> None:
        self.vendor.state = state
        self.clock.now += 100
        self.look()

    def give_back(self) -> None:
        self.pull(Answer.ENABLED)

    def look(self) -> None:
        external_watch.look(self.database, self.hierarchy, self.external, "test")

    def stored_names(self) -> list[Any]:
        return [name for (name,) in self.sql("SELECT name FROM people")]

    def stored(self, column: str, sys_id: str = "p01") -> Any:
        (row,) = self.sql(f"SELECT {column} FROM people WHERE id = '{sys_id}'")
        return row[0]


@pytest.fixture
def site(sealed: Any) -> Iterator[Pulled]:
    found = Pulled(sealed.folder)
    yield found
    found.close()


@pytest.fixture
def console(site: Pulled) -> World:
    return World(site)


@pytest.fixture
def api(site: Pulled) -> Iterator[Api]:
    made = Api(site)
    yield made
    made.recorder.close()


@pytest.mark.parametrize("path", ["/people.list", "/people.form?sys_id=p01"])
def test_a_page_says_that_values_are_dark_and_why_to_who_may_know(
    site: Pulled, console: World, path: str
) -> None:
    reader = console.as_("reader")
    assert NAME in reader.get(path).text
    assert DARK not in reader.get(path).text
    site.pull()
    page = reader.get(path)
    assert page.status_code == 200
    assert DARK in text_of(page)
    assert NAME not in page.text
    assert "kms" not in page.text, "no key administrator"
    site.give_back()
    assert NAME in reader.get(path).text


def test_an_open_alert_is_on_each_page_of_who_may_know(site: Pulled, console: World) -> None:
    manager, auditor, plain = (console.as_(who) for who in ("manager", "auditor", "plain"))
    assert 'aria-label="Open alerts"' not in manager.get("/").text
    site.pull()
    for path in ("/", "/people.list", "/sys_kmf_module_key.list", "/no-such-page"):
        for who in (manager, auditor):
            assert "The external key 'kms' is disabled" in text_of(who.get(path)), path
        assert "kms" not in plain.get(path).text
    site.give_back()
    assert 'aria-label="Open alerts"' not in manager.get("/").text


def test_alerts_that_were_changed_behind_our_back_are_said_and_hide_no_page(
    site: Pulled, console: World
) -> None:
    site.pull()
    site.sql("UPDATE keystead_alert SET what = 'all is well'")
    page = console.as_("manager").get("/sys_kmf_module_key.list")
    assert page.status_code == 200
    assert 'aria-label="Open alerts"' in page.text
    assert "all is well" not in page.text


def test_a_form_is_saved_around_dark_values(site: Pulled, console: World) -> None:
    both = console.as_("both")
    site.pull()
    before = {name: site.stored(name) for name in ("name", "city", "salary", "email", "team")}
    page = both.get("/people.form?sys_id=p01")
    assert value_of(page, "name") is None, "it is not to be written"
    assert value_of(page, "note") == NOTE
    saved = save(both, "p01", note="changed", name="", email="")
    assert "Saved: note" in text_of(saved)
    assert {name: site.stored(name) for name in before} == before
    refused = save(both, "p01", note="again", name="another")
    assert refused.status_code == 403
    assert (site.stored("note"), site.stored("name")) == ("changed", before["name"])
    site.give_back()
    assert NAME in both.get("/people.form?sys_id=p01").text


def test_what_was_seen_dark_is_not_saved_over_what_is_there_again(
    site: Pulled, console: World
) -> None:
    both = console.as_("both")
    site.pull()
    seen = seen_of(both.get("/people.form?sys_id=p01"))
    site.give_back()
    form = {"seen": seen, "value.note": "changed", "value.name": ""}
    answer = both.post("/people.form?sys_id=p01", form)
    assert answer.status_code == 409
    assert site.show(columns=["name"]).rows[0] == (NAME,)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_record_is_written_as_it_was_read_around_dark_values(
    site: Pulled, api: Api, method: str
) -> None:
    site.pull()
    path = f"{PEOPLE}/p01"
    read = api.call("GET", path, "both").json()["result"]
    assert read["name"] == read["email"] == ""
    before = site.stored("name"), site.stored("email")
    answer = api.call(method, path, "both", json={**read, "note": "changed"})
    assert answer.status_code == 200, answer.text
    assert (site.stored("name"), site.stored("email")) == before
    assert site.stored("note") == "changed"
    refused = api.call(method, path, "both", json={"name": "another", "note": "again"})
    assert refused.status_code == 403
    assert (site.stored("name"), site.stored("note")) == (before[0], "changed")
    site.give_back()
    assert api.call("GET", path, "both").json()["result"]["name"] == NAME


def test_while_it_can_be_opened_an_empty_value_empties(site: Pulled, api: Api) -> None:
    answer = api.call("PATCH", f"{PEOPLE}/p01", "both", json={"name": ""})
    assert answer.status_code == 200, answer.text
    assert site.stored("name") == ""


def test_an_answer_says_how_many_values_are_dark(site: Pulled, api: Api) -> None:
    path = f"{PEOPLE}/p01?sysparm_fields=name,note"
    assert "X-Keystead-Unopened" not in api.call("GET", path, "both").headers
    site.pull()
    for method, body in (("GET", {}), ("PATCH", {"json": {"note": "new"}})):
        assert api.call(method, path, "both", **body).headers["X-Keystead-Unopened"] == "1"
    listed = api.call("GET", f"{PEOPLE}?sysparm_fields=name", "both").headers
    assert int(listed["X-Keystead-Unopened"]) == len([row for row in site.stored_names() if row])
    assert "X-Keystead-Unopened" not in api.call("GET", path, "guest").headers
