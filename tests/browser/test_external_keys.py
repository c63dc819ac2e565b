"""An external key by clicking: configured, chosen, pulled, and given back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect
from tests.browser.conftest import PASSWORD, Person, Served
from tests.cli.conftest import ok


def loaded(home: Path) -> None:
    file = home / "people.csv"
    file.write_text("number,name,city\n1,Ann,Oslo\n2,Bo,Köln\n", encoding="utf-8")
    ok("load", home, "people", file, "--key", "number")
    ok("module", "create", home, "personal", "--publish")
    ok("policy", "add", home, "--module", "personal", "--role", "support")
    ok("field", "add", home, "people", "city", "--module", "personal")
    ok("external", "file", "create", home / "external.key")
    roles = ("--role", "support", "--role", "sn_kmf.cryptographic_manager")
    ok("user", "add", home, "ada", *roles)


def test_data_is_dark_while_the_key_is_disabled_and_there_again_after(
    serve: Callable[..., list[Served]],
    visiting: Callable[..., Person],
) -> None:
    (prod,) = serve("prod", prepare=loaded)
    key_file = prod.home / "external.key"
    ok("encrypt", prod.home, "people")
    root = visiting(prod.url).log_in(prod.user, prod.password)
    page = root.page
    root.elevate(prod.password)
    root.navigate("Users")
    root.open("ada")
    root.press("Set password")
    page.get_by_label("Password").fill(PASSWORD)
    root.press("Set password")
    root.sees("has a new password")

    root.navigate("External Key Configurations")
    root.press("New: Key file")
    page.get_by_label("Name").fill("vault")
    page.get_by_label("File").fill(str(key_file))
    page.get_by_label("Lease (seconds)").fill("5")
    root.press("New: Key file")
    root.sees("is a draft")
    root.press("Test configuration")
    root.sees("passed the test")
    root.press("Go on")
    root.press("Activate")
    root.press("Activate")
    root.sees("is active")

    root.navigate("Crypto Modules")
    root.open("global.personal")
    root.press("Choose external wrap key")
    root.choose("External KMS configuration", "vault")
    root.press("Choose external wrap key")
    root.sees("1 keys moved, 0 still to move")

    ada = visiting(prod.url).log_in("ada")
    cities = ada.page.get_by_role("region", name="people")
    ada.page.goto("/people.list")
    expect(cities).to_contain_text("Oslo")

    ok("external", "file", "disable", key_file)
    alert = ada.page.get_by_role("region", name="Open alerts")

    def reload() -> None:
        ada.page.wait_for_timeout(500)
        ada.page.reload()

    while alert.count() == 0 or "Oslo" in str(cities.text_content()):
        reload()
    expect(alert).to_contain_text("The external key 'vault' is disabled")
    expect(alert).to_contain_text("It protects 2 values in 1 column,")
    expect(ada.page.get_by_role("main")).to_contain_text("2 values cannot be opened here now")
    ada.page.goto("/people.form?sys_id=1")
    ada.page.get_by_label("name").fill("Anna")
    ada.press("Update")
    ada.sees("Saved: name")

    ok("external", "file", "enable", key_file)
    ada.page.goto("/people.list")
    while alert.count() or "Oslo" not in str(cities.text_content()):
        reload()
    expect(cities).to_contain_text("Anna")
