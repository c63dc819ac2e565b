"""Navigator, lists, the keyboard, log-in and log-out, and values that look like pages."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from tests.browser.conftest import PASSWORD, Person, Served
from tests.cli.conftest import ok

ROWS = 120
MARKUP = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> & 'quoted'"


def prepared(home: Path) -> None:
    file = home / "people.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        lines = csv.writer(out)
        lines.writerow(["number", "name", "city"])
        lines.writerows([f"{n:05d}", f"Person {n}", ("Köln", "北京")[n % 2]] for n in range(ROWS))
        lines.writerow(["markup", MARKUP, "Oslo"])
    ok("load", home, "people", file, "--key", "number")
    ok("module", "create", home, "personal", "--publish")
    ok("user", "add", home, "ada")


@pytest.fixture(scope="module")
def prod(serve: Callable[..., list[Served]], visiting: Callable[..., Person]) -> Served:
    (served,) = serve("prod", prepare=prepared)
    root = visiting(served.url).log_in(served.user, served.password)
    root.elevate(served.password)
    root.navigate("Users")
    root.open("ada")
    root.press("Set password")
    root.page.get_by_label("Password").fill(PASSWORD)
    root.press("Set password")
    root.sees("has a new password")
    return served


@pytest.fixture
def ada(prod: Served, visiting: Callable[..., Person]) -> Person:
    return visiting(prod.url).log_in("ada")


@pytest.fixture
def root(prod: Served, visiting: Callable[..., Person]) -> Iterator[Person]:
    one = visiting(prod.url).log_in(prod.user, prod.password)
    yield one
    one.context.close()


def test_the_navigator_takes_names_of_pages(root: Person) -> None:
    root.go_to("sys_kmf_module_key.list")
    root.sees_heading("Module Keys")
    key = root.page.locator("tbody a.row, tbody td a").last.get_attribute("href") or ""
    root.go_to("people.form")
    root.sees_heading("New record")
    root.go_to("stats.do")
    root.sees_heading("Instance statistics")
    for said in ("Instance id", "Version", "Database", "Uptime of this process"):
        expect(root.fact(said)).not_to_be_empty()
    root.page.goto(key)
    root.sees_heading("global.personal")
    root.go_to("nothing.list")
    root.sees_heading("nothing")


def test_the_navigator_filters_as_it_is_typed_into(root: Person) -> None:
    menus = root.page.locator("#menus")
    everything = menus.get_by_role("link").count()
    for typed, found in (("exchange req", "Resource Exchange Requests"), ("sys_user_gr", "Groups")):
        root.page.get_by_label("Filter the navigator").fill(typed)
        expect(menus.get_by_role("link", name="Crypto Modules")).to_have_count(0)
        expect(menus.get_by_role("link", name=found)).to_be_visible()
    root.page.get_by_label("Filter the navigator").fill("no such thing")
    expect(menus.get_by_text("Nothing fits.")).to_be_visible()
    root.page.get_by_label("Filter the navigator").fill("")
    expect(menus.get_by_role("link")).to_have_count(everything)


@pytest.mark.parametrize(
    ("typed", "total", "shown"),
    [
        ("*son 11", 11, "Person 11"),
        ("%9", 12, "Person 9"),
        ("Person 10%", 11, "Person 10"),
        ("=Person 7", 1, "Person 7"),
        ("!=Person 0", ROWS, "Person 1"),
    ],
)
def test_a_column_is_searched(ada: Person, typed: str, total: int, shown: str) -> None:
    ada.navigate("people")
    ada.page.get_by_label("Search name").fill(typed)
    ada.page.get_by_label("Search name").press("Enter")
    crumbs = ada.page.get_by_role("navigation", name="Filter")
    expect(crumbs.get_by_text("name", exact=False)).to_be_visible()
    expect(ada.page.get_by_text(f" of {total}")).to_be_visible()
    assert ada.column("name")[0] == shown
    crumbs.get_by_label("Leave out").click()
    expect(ada.page.get_by_text(f"1 to 50 of {ROWS + 1}")).to_be_visible()


def test_a_list_is_sorted_paged_and_taken_away(ada: Person, tmp_path: Path) -> None:
    page = ada.page
    ada.navigate("people")
    page.get_by_role("columnheader", name="number").get_by_role("link").click()
    page.get_by_role("columnheader", name="number").get_by_role("link").click()
    expect(page.get_by_role("columnheader", name="number")).to_have_attribute(
        "aria-sort", "descending"
    )
    assert ada.column("number")[:2] == ["markup", "00119"]
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_text("51 to 100 of 121")).to_be_visible()
    assert ada.column("number")[0] == "00070"
    page.get_by_role("link", name="Last page").click()
    expect(page.get_by_text("101 to 121 of 121")).to_be_visible()
    assert ada.column("number")[-1] == "00000"
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("checkbox", name="city").uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="city")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="name")).to_be_visible()
    page.get_by_label("Search number").fill("<00003")
    page.get_by_label("Search number").press("Enter")
    expect(page.get_by_text("1 to 3 of 3")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8-sig") as file:
        assert list(csv.reader(file)) == [
            ["number", "name"],
            *([f"{n:05d}", f"Person {n}"] for n in (2, 1, 0)),
        ]


def test_without_a_mouse(prod: Served, visiting: Callable[..., Person]) -> None:
    ada = visiting(prod.url)
    keys = ada.page.keyboard

    def tab_to(wanted: Locator) -> None:
        for _ in range(80):
            keys.press("Tab")
            if wanted.evaluate("one => one === document.activeElement"):
                return
        raise AssertionError(wanted)

    ada.page.goto("/")
    keys.type("ada")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(ada.page.get_by_role("button", name="Log out")).to_be_visible()
    keys.press("Tab")
    expect(ada.page.get_by_role("link", name="Skip to content")).to_be_focused()
    tab_to(ada.page.get_by_label("Filter the navigator"))
    keys.type("people.list")
    keys.press("Enter")
    ada.sees_heading("people")
    keys.press("Tab")
    keys.press("Enter")
    tab_to(ada.page.get_by_label("Search name"))
    keys.type("*son 42")
    keys.press("Enter")
    expect(ada.page.get_by_text("1 to 1 of 1")).to_be_visible()
    tab_to(ada.page.get_by_role("link", name="00042"))
    keys.press("Enter")
    ada.sees_heading("00042")
    tab_to(ada.page.get_by_label("city"))
    keys.press("Control+A")
    keys.type("Malmö")
    keys.press("Enter")
    ada.sees("")
    expect(ada.page.get_by_label("city")).to_have_value("Malmö")


def test_after_logging_out_going_back_shows_nothing(ada: Person) -> None:
    ada.navigate("people")
    ada.page.get_by_role("button", name="Log out").click()
    expect(ada.page.get_by_label("User name")).to_be_visible()
    ada.page.go_back()
    expect(ada.page.get_by_label("User name")).to_be_visible()
    expect(ada.page.get_by_text("Person 1")).to_have_count(0)
    ada.page.goto("/people.list")
    expect(ada.page.get_by_label("User name")).to_be_visible()


def test_a_session_that_ended_leads_to_the_log_in_page_and_back(ada: Person, root: Person) -> None:
    def ended() -> None:
        root.navigate("Users")
        root.open("ada")
        root.press("End sessions")
        root.sees("session")

    def comes_back(to: str) -> None:
        expect(ada.page.get_by_role("heading", name="Log in")).to_be_visible()
        ada.page.get_by_label("User name").fill("ada")
        ada.page.get_by_label("Password").fill(PASSWORD)
        ada.press("Log in")
        ada.sees_heading(to)

    ada.navigate("people")
    ended()
    ada.page.get_by_role("link", name="00007").click()
    comes_back("00007")
    # what a page asks for by itself leads there, too
    ended()
    ada.page.get_by_label("Filter the navigator").press_sequentially("peo")
    comes_back("00007")


def test_what_looks_like_a_page_is_text(root: Person, tmp_path: Path) -> None:
    page = root.page
    root.go_to("people.list")
    page.get_by_label("Search number").fill("markup")
    page.get_by_label("Search number").press("Enter")
    expect(page.get_by_text("1 to 1 of 1")).to_be_visible()
    assert root.column("name") == [MARKUP]
    root.open("markup")
    expect(page.get_by_label("name")).to_have_value(MARKUP)
    file = tmp_path / "<i>&slanted.txt"
    file.write_text("x", encoding="utf-8")
    page.get_by_label("Attach a file").set_input_files(file)
    root.press("Attach")
    root.sees("The file is attached.")
    expect(page.get_by_role("link", name=file.name)).to_be_visible()
    page.get_by_label("city").fill("<b>Bergen</b>")
    root.press("Update")
    page.get_by_text("History", exact=True).click()
    expect(page.locator(".events-list li")).not_to_have_count(0)
    root.navigate("Groups")
    root.press("New")
    page.get_by_label("Name").fill(MARKUP)
    root.press("Submit")
    expect(page.get_by_role("alert")).to_contain_text(MARKUP)
    expect(page.get_by_label("Name")).to_have_value(MARKUP)
    root.go_to(MARKUP)
    root.sees_heading(MARKUP)
    expect(page.locator("img[src=x]")).to_have_count(0)
    assert "owned" not in page.title()
