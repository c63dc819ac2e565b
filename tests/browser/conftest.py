"""The console in a browser: Debian's Chromium, driven as a person uses it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from tests.cli.conftest import make

_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"),
    *("--no-first-run", "--no-proxy-server", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
_PATIENCE = 30_000  # ms: a busy machine is no failure
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Served:
    """A served instance, and the administrator whom it made."""

    home: Path
    url: str
    user: str
    password: str = field(repr=False)


class Person:
    """Somebody at a browser of his own."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.context = browser.new_context(
            base_url=url, ignore_https_errors=True, reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(_PATIENCE)
        self.page: Page = self.context.new_page()

    def log_in(self, user: str, password: str = PASSWORD, path: str = "/") -> Person:
        self.page.goto(path)
        self.page.get_by_label("User name").fill(user)
        self.page.get_by_label("Password").fill(password)
        self.press("Log in")
        expect(self.page.get_by_role("button", name="Log out")).to_be_visible()
        return self

    def elevate(self, password: str) -> None:
        self.page.get_by_role("link", name="Elevate", exact=True).click()
        self.page.get_by_label("Password of").fill(password)
        self.press("Elevate")
        expect(self.page.get_by_role("button", name="Elevated")).to_be_visible()

    def navigate(self, entry: str) -> None:
        """To a list, by the navigator and its filter."""
        navigator = self.page.get_by_role("navigation", name="Application navigator")
        navigator.get_by_label("Filter the navigator").fill(entry)
        menus = navigator.locator("#menus")
        expect(menus.get_by_role("link")).not_to_have_count(0)
        menus.get_by_role("link", name=entry, exact=True).click()
        self.sees_heading(entry)

    def go_to(self, text: str) -> None:
        """Where a text typed into the navigator leads."""
        self.page.get_by_label("Filter the navigator").fill(text)
        self.page.get_by_label("Filter the navigator").press("Enter")

    def press(self, name: str) -> None:
        """A button, or a link that looks like one."""
        main = self.page.get_by_role("main")
        button = main.get_by_role("button", name=name, exact=True)
        button.or_(main.locator("a.button").get_by_text(name, exact=True)).first.click()

    def open(self, name: str) -> None:
        """A row of the list, by what its link says."""
        rows = self.page.get_by_role("main").get_by_role("table").first
        rows.get_by_role("link", name=name, exact=True).first.click()

    def choose(self, label: str, *options: str) -> None:
        """Rows in a look-up."""
        group = self.page.get_by_role("group", name=label)
        for option in options:
            # a late answer would take the choice away again
            with self.page.expect_response(lambda answer: "/choices?" in answer.url):
                group.get_by_role("searchbox").fill(option)
            found = group.locator(".choices label").filter(has_text=option)
            expect(found).to_have_count(1)
            found.get_by_role("checkbox").or_(found.get_by_role("radio")).check()

    def sees(self, text: str) -> None:
        """A confirmation at the top."""
        expect(self.page.get_by_role("status").filter(has_text=text)).to_be_visible()

    def sees_heading(self, text: str) -> None:
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(text)

    def fact(self, label: str) -> Locator:
        """The value of a field on a form."""
        # its term and the mark of its help follow the label
        said = re.compile(rf"^\s*{re.escape(label)}(\s+[a-z_]+)?\s*\??$")
        field = self.page.locator("dl.facts > div").filter(
            has=self.page.locator("dt").filter(has_text=said)
        )
        return field.locator("dd")

    def rows(self) -> list[list[str]]:
        """The texts of the list's rows, without the links that open them."""
        found = self.page.get_by_role("main").locator("table.list tbody tr").all()
        return [[c.strip() for c in row.locator("td").all_inner_texts()][:-1] for row in found]

    def column(self, name: str) -> list[str]:
        """The texts in one column of the list."""
        heads = self.page.locator("table.list thead th").all_inner_texts()
        at = next(n for n, head in enumerate(heads) if head.split("\n")[0].startswith(name))
        return [row[at] for row in self.rows()]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("install chromium first; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=program, args=list(_ARGUMENTS))
        expect.set_options(timeout=_PATIENCE)
        yield made
        made.close()


@pytest.fixture(scope="module")
def visiting(browser: Browser) -> Iterator[Callable[..., Person]]:
    """Gives a person in a browser of his own, who leaves at the end of the module."""
    people: list[Person] = []

    def visit(url: str, **options: Any) -> Person:
        people.append(Person(browser, url, **options))
        return people[-1]

    yield visit
    for one in people:
        one.context.close()


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., list[Served]]]:
    """Makes instances of these names, and serves them until the module ends."""
    with ExitStack() as stack:

        def serving(*names: str, prepare: Callable[[Path], None] | None = None) -> list[Served]:
            folder = tmp_path_factory.mktemp("browser")
            homes = [make(folder / name) for name in names]
            for home in homes:
                if prepare is not None:
                    prepare(home)
            processes = [_started(home, stack) for home in homes]
            return [_said(home, process) for home, process in zip(homes, processes, strict=True)]

        yield serving


def _started(home: Path, stack: ExitStack) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "keystead.programs.cli", "serve", str(home)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait, timeout=30)
    stack.callback(process.terminate)
    return process


def _said(home: Path, process: subprocess.Popen[str]) -> Served:
    """What it prints when it serves for the first time."""
    assert process.stdout is not None
    said = ""
    while not (password := re.search(r"^  (\S+)\n", said, re.MULTILINE)):
        line = process.stdout.readline()
        assert line, said
        said += line
    url, user = re.search(r" at (https://\S+)", said), re.search(r"Administrator '(\w+)'", said)
    assert url
    assert user
    return Served(home, url[1], user[1], password[1])
