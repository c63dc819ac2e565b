"""Every page: no violation that axe-core finds, nothing wider than a telephone, and pictures of it.

The pictures are left under `var/screens`, to be looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import ConsoleMessage, Page
from tests.browser.conftest import Person, Served
from tests.cli.conftest import ok, pair

SCREENS = Path("var/screens")
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
CHECKED: dict[tuple[str, str], dict[str, Any]] = {
    ("wide", "light"): {"resultTypes": ["violations"]},
    # what else there is does not change with the colours
    ("wide", "dark"): {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
}
FIRST = (
    *("/", "/stats.do", "/elevate", "/nav_to.do?q=key", "/nothing.list", "/people.form"),
    *("/people.list?search.name=*nobody", "/sys_kmf_module_key.list?sort=state&descending=true"),
)
NAME = "a_rather_long_name_of_a_column_as_imports_bring_it"


def prepared(home: Path) -> None:
    if home.name == "target":
        return
    file = home / "people.csv"
    lines = [f"{n:05d},Person {n},{('Köln', '北京')[n % 2]},{'x' * 90}" for n in range(12)]
    file.write_text("\n".join([f"number,name,city,{NAME}", *lines]), encoding="utf-8")
    ok("load", home, "people", file, "--key", "number")
    ok("module", "create", home, "draft")
    for module in ("personal", "attached"):
        ok("module", "create", home, module, "--publish")
    ok("field", "add", home, "people", "city", "--module", "personal")
    ok("policy", "add", home, "--module", "personal", "--role", "support")
    ok("property", "set", home, "keystead.list.rows", 5)
    ok("user", "add", home, "ada", "--role", "support")
    ok("user", "token", "make", home, "ada", "--name", "nightly", "--days", 7)


@pytest.fixture(scope="module")
def root(serve: Callable[..., list[Served]], visiting: Callable[..., Person]) -> Person:
    source, target = serve("source", "target", prepare=prepared)
    pair(source.home, target.home)
    ok("encrypt", source.home, "people")
    ok("show", source.home, "people", "--limit", 1)
    ok("key", "rotate", source.home, "personal")
    plan = ok("clone", "plan", source.home, "--target", "target", "--keys", "withheld")
    ok("clone", "run", source.home, plan["clone"])
    ok("exchange", "request", target.home, "--from", "source", "--module", "personal")
    key_file = source.home / "external.key"
    ok("external", "file", "create", key_file)
    words = ("--kind", "file", "--set", f"path={key_file}")
    ok("external", "create", source.home, "vault", *words)
    ok("external", "activate", source.home, "vault")
    ok("external", "wrap", source.home, "attached", "vault")
    ok("external", "file", "delete", key_file, "--after", 30)
    ok("external", "sync", source.home)
    root = visiting(source.url, viewport=WIDE).log_in(source.user, source.password)
    root.elevate(source.password)
    root.navigate("Key Census")
    root.press("Count now")
    return root


@pytest.fixture(scope="module")
def said(root: Person) -> list[str]:
    """What the browser complains of."""
    heard: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            heard.append(message.text)

    root.page.on("console", hear)
    root.page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


def test_every_page_is_for_everybody(root: Person, said: list[str]) -> None:
    """Every list, its operations, its first row, and the operations of that."""
    page, wrong = root.page, []
    page.goto("/")
    waiting, seen = [*FIRST, *hrefs(page, "#menus a")], set[str]()
    while waiting:
        path = waiting.pop(0)
        seen.add(path)
        response = page.goto(path)
        assert response is not None
        assert response.status in (200, 404), path
        steps = hrefs(page, ".heading .buttons a.button")
        if path.endswith(".list"):
            steps += hrefs(page, "tbody tr:first-child td.open a")
        waiting += [step for step in steps if step not in seen]
        wrong += [f"{path} {found}" for found in looked_at(page, name_of(path))]
    assert len(seen) > 60
    assert not wrong, "\n".join(wrong)
    assert not [line for line in said if "404" not in line]


def test_the_log_in_page_is_for_everybody(root: Person, visiting: Callable[..., Person]) -> None:
    stranger = visiting(root.page.url.partition("/sys")[0]).page
    stranger.set_viewport_size(WIDE)
    stranger.goto("/login")
    wrong = looked_at(stranger, "login")
    stranger.get_by_label("User name").fill("nobody")
    stranger.get_by_label("Password").fill("not the password")
    stranger.get_by_role("button", name="Log in").click()
    wrong += looked_at(stranger, "login-refused")
    assert not wrong, "\n".join(wrong)


def hrefs(page: Page, selector: str) -> list[str]:
    return [str(one.get_attribute("href")) for one in page.locator(selector).all()]


def name_of(path: str) -> str:
    """A file's name for a page: without the ids of rows."""
    said = re.sub(r"sys_id=[^&]*", "row", path.strip("/") or "home")
    return re.sub(r"[^\w.=-]+", "_", said)[:110]


def looked_at(page: Page, name: str) -> list[str]:
    """What is wrong with a page, wide and narrow, light and dark; pictures of all four."""
    wrong: list[str] = []
    for width, size in (("wide", WIDE), ("narrow", NARROW)):
        page.set_viewport_size(size)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            if (width, scheme) in CHECKED:
                found = violations(page, CHECKED[width, scheme])
                wrong += [f"({width}, {scheme}) {one}" for one in found]
            picture = SCREENS / f"{name}-{width}-{scheme}.jpg"
            page.screenshot(path=picture, full_page=True, type="jpeg", quality=80)
        beyond = page.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        wrong += [f"({width}) is {beyond} px too wide"] if beyond > 0 else []
    page.set_viewport_size(WIDE)
    return wrong


def violations(page: Page, options: dict[str, Any]) -> list[str]:
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate(
        "options => axe.run(document, options).then(done => done.violations)", options
    )
    return [f"{one['id']}: {node['html'][:150]}" for one in found for node in one["nodes"]]
