"""From the first log-in to values under a new key, by clicking alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect
from tests.browser.conftest import PASSWORD, Person, Served
from tests.cli.conftest import ok

ROWS = 1_500
CITIES = ("Köln", "北京", "Oslo")


def loaded(home: Path) -> None:
    file = home / "people.csv"
    lines = [f"{n:05d},Person {n},{CITIES[n % 3]}" for n in range(ROWS)]
    file.write_text("\n".join(["number,name,city", *lines]), encoding="utf-8")
    ok("load", home, "people", file, "--key", "number")


def test_an_administrator_encrypts_a_column_and_moves_it_to_a_new_key(
    serve: Callable[..., list[Served]], visiting: Callable[..., Person]
) -> None:
    (prod,) = serve("prod", prepare=loaded)
    root = visiting(prod.url).log_in(prod.user, prod.password)
    page = root.page
    root.elevate(prod.password)
    root.sees("elevated")

    root.navigate("Crypto Modules")
    root.press("New")
    page.get_by_label("Name").fill("personal")
    page.get_by_label("Encryption").select_option("equality preserving")
    root.press("Submit")
    root.sees("is a draft")
    expect(page.get_by_role("region", name="Crypto Specifications")).to_contain_text("Yes")
    root.press("Publish")
    page.get_by_label("Make its first key now").check()
    root.press("Publish")
    root.sees("is published and has its first key")
    expect(root.fact("State")).to_have_text("published")

    root.navigate("Module Access Policies")
    root.press("New")
    root.choose("Crypto module", "personal")
    page.get_by_label("Target role or scope").fill("support")
    page.get_by_label("Granular operation").select_option("both")
    page.get_by_label("Result").select_option("track")
    root.press("Submit")
    root.sees("for support")

    for user in ("ada", "bob"):
        root.navigate("Users")
        root.press("New")
        page.get_by_label("Name").fill(user)
        root.press("Submit")
        root.sees(f"User '{user}' is made")
        root.press("Set password")
        page.get_by_label("Password").fill(PASSWORD)
        root.press("Set password")
        root.sees("has a new password")
    root.navigate("Users")
    root.open("ada")
    root.press("Give role")
    page.get_by_label("Role").select_option("support")
    root.press("Give role")
    root.sees("'ada' has the role 'support'")

    root.navigate("Encrypted Field Configurations")
    root.press("New")
    page.get_by_label("Table").select_option("people")
    page.get_by_label("Column").fill("city")
    root.choose("Crypto module", "personal")
    root.press("Submit")
    root.sees("people.city is configured")
    expect(root.fact("Phase")).to_have_text("mixed")
    root.press("Encrypt now")
    _started_and_watched(root, "Encrypt now")

    ada = visiting(prod.url).log_in("ada")
    bob = visiting(prod.url).log_in("bob")
    for one, cities in ((ada, set(CITIES)), (bob, {""})):
        one.navigate("people")
        assert set(one.column("city")) == cities
        assert one.column("name")[0] == "Person 0"
    ada.page.get_by_label("Search city").fill("Köln")
    ada.page.get_by_label("Search city").press("Enter")
    expect(ada.page.get_by_text("1 to 50 of 500")).to_be_visible()
    assert set(ada.column("city")) == {"Köln"}
    expect(bob.page.get_by_label("Search city")).to_have_count(0)

    root.navigate("Module Keys")
    page.get_by_role("link", name="Open this row").click()
    expect(root.fact("State")).to_have_text("active")
    root.press("Rotate")
    root.press("Rotate")
    root.sees("is active (version 2)")
    root.navigate("Encrypted Field Configurations")
    root.open("people")
    expect(root.fact("Phase")).to_have_text("sealed")
    root.press("Rekey")
    _started_and_watched(root, "Rekey")

    root.navigate("Key Census")
    root.press("Count now")
    root.sees(f"Counted: {ROWS:,} encrypted values.")
    counted = zip(root.column("Form"), root.column("Values"), strict=True)
    assert [found for found in counted if found[1] != "0"] == [("encrypted", f"{ROWS:,}")]
    page.get_by_role("main").get_by_role("link", name=re.compile("^global.personal: ")).click()
    expect(root.fact("Version")).to_have_text("2")
    expect(root.fact("State")).to_have_text("active")
    page.get_by_role("link", name="Keystead").click()
    expect(page.get_by_role("row", name="global.personal v2")).to_contain_text(f"{ROWS:,}")

    root.navigate("Module Access Policies")
    for user, verdict in (("ada", "Allow: allow and log"), ("bob", "Deny")):
        root.press("Debugger")
        root.choose("Crypto module", "personal")
        page.get_by_label("User", exact=True).fill(user)
        root.press("Debugger")
        root.sees(verdict)
        expect(page.get_by_role("main").get_by_role("table")).to_contain_text("support")
        root.press("Go on")
    for one in (ada, bob):
        one.navigate("people")
    assert set(ada.column("city")) == set(CITIES)
    assert set(bob.column("city")) == {""}


def _started_and_watched(root: Person, operation: str) -> None:
    """A job so slow that it is seen to run; its page changes by itself until it is done."""
    root.page.get_by_label("Rows per second").fill(str(ROWS // 4))
    root.press(operation)
    root.sees("waits to be picked up")
    progress = root.page.locator(".progress")
    expect(progress.get_by_text("running", exact=True)).to_be_visible()
    expect(progress.get_by_text("done", exact=True)).to_be_visible(timeout=60_000)
    expect(progress.locator(".amount")).to_contain_text(f"{ROWS:,} of {ROWS:,} (100 %)")
    expect(root.fact("State")).to_have_text("done")
