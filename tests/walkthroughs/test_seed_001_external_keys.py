"""Seed 001, "External Key Management Service": carried out in the console, with AWS KMS.

The headings follow the document. AWS is moto's server behind a proxy that is as strict as AWS is
documented to be; what its owner does there is done with boto3.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from tests.browser.conftest import PASSWORD, Person, Served
from tests.cli.conftest import ok
from tests.external.aws import AwsKey

CITIES = {"Oslo", "Köln"}


def loaded(home: Path) -> None:
    file = home / "people.csv"
    file.write_text("number,name,city\n1,Ann,Oslo\n2,Bo,Köln\n", encoding="utf-8")
    ok("load", home, "people", file, "--key", "number")
    for user, *roles in (("ada", "--role", "support"), ("bob",)):
        ok("user", "add", home, user, *roles)


def stored(home: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of the database file, read from outside."""
    with closing(sqlite3.connect(home / "instance.db")) as db:
        return db.execute(query).fetchall()


@pytest.mark.walkthrough
def test_external_keys_in_the_console(
    serve: Callable[..., list[Served]], visiting: Callable[..., Person], aws_key: AwsKey
) -> None:
    (prod,) = serve("prod", prepare=loaded)
    root = visiting(prod.url).log_in(prod.user, prod.password)
    root.elevate(prod.password)
    for user in ("ada", "bob"):
        root.navigate("Users")
        root.open(user)
        root.press("Set password")
        root.page.get_by_label("Password").fill(PASSWORD)
        root.press("Set password")
        root.sees("has a new password")

    configure(root, aws_key)
    chain(root, prod, aws_key)
    ada, bob = (visiting(prod.url).log_in(user) for user in ("ada", "bob"))
    access_control(ada, bob)
    status_synchronisation(root, ada, aws_key)
    rewrapping_after_rotation(root, ada, prod, aws_key)
    pending_deletion(root, ada, aws_key)


def configure(root: Person, key: AwsKey) -> None:
    """Configuring: one connection to AWS KMS, tried and activated."""
    page = root.page
    root.navigate("External Key Configurations")
    root.press("New: AWS KMS")
    page.get_by_label("Name").fill("aws")
    page.get_by_label("Region").fill(key.settings["region"])
    page.get_by_label("Key ARN").fill(key.arn)
    page.get_by_label("Endpoint").fill(key.settings["endpoint_url"])
    page.get_by_label("Access key", exact=True).fill(key.settings["access_key_id"])
    page.get_by_label("Secret access key").fill(key.settings["secret_access_key"])
    page.get_by_label("Lease (seconds)").fill("5")
    root.press("New: AWS KMS")
    root.sees("is a draft")
    root.press("Test configuration")
    root.sees("'aws' passed the test")
    expect(page.get_by_role("main").get_by_role("table")).to_contain_text("decrypt")
    root.press("Go on")
    root.press("Activate")
    root.press("Activate")
    root.sees("'aws' is active")
    assert key.settings["secret_access_key"] not in page.content()


def chain(root: Person, prod: Served, key: AwsKey) -> None:
    """How EKMS works, 1 to 5: key encryption key, AWS key, External Instance Keys, DEKs, fields."""
    page = root.page
    root.navigate("External Instance Keys")
    assert root.column("Version") == ["1"]
    (row,) = stored(prod.home, "SELECT wrapped, material_id FROM sys_kmf_external_key")
    assert row[1] == key.proxy.material_id(key.key_id)
    inner = key.account.owner.decrypt(
        KeyId=key.arn,
        CiphertextBlob=base64.b64decode(row[0]),
        EncryptionContext=key.proxy.asked("Encrypt")[-1].body["EncryptionContext"],
    )["Plaintext"]
    assert len(inner) > 32  # what AWS sees is wrapped by the instance first

    root.navigate("Crypto Modules")
    root.press("New")
    page.get_by_label("Name").fill("personal")
    page.get_by_label("Encryption").select_option("standard")
    root.press("Submit")
    root.press("Publish")
    page.get_by_label("Make its first key now").check()
    root.press("Publish")
    root.sees("is published and has its first key")
    root.press("Choose external wrap key")
    root.choose("External KMS configuration", "aws")
    root.press("Choose external wrap key")
    root.sees("1 keys moved, 0 still to move")

    root.navigate("Module Access Policies")
    root.press("New")
    root.choose("Crypto module", "personal")
    page.get_by_label("Target role or scope").fill("support")
    page.get_by_label("Granular operation").select_option("both")
    page.get_by_label("Result").select_option("track")
    root.press("Submit")
    root.sees("for support")

    root.navigate("Encrypted Field Configurations")
    root.press("New")
    page.get_by_label("Table").select_option("people")
    page.get_by_label("Column").fill("city")
    root.choose("Crypto module", "personal")
    root.press("Submit")
    root.sees("people.city is configured")
    root.press("Encrypt now")
    root.press("Encrypt now")
    root.sees("waits to be picked up")
    progress = page.locator(".progress")
    expect(progress.get_by_text("done", exact=True)).to_be_visible(timeout=60_000)
    assert {city[:4] for (city,) in stored(prod.home, "SELECT city FROM people")} == {"~ks1"}


def access_control(ada: Person, bob: Person) -> None:
    """Access control: who has the role sees clear text, who has it not sees nothing."""
    for person, cities in ((ada, CITIES), (bob, {""})):
        person.navigate("people")
        assert set(person.column("city")) == cities


def status_synchronisation(root: Person, ada: Person, key: AwsKey) -> None:
    """Key status synchronisation: every 30 minutes, or as decided, or now; disabled is dark."""
    root.navigate("Scheduled Jobs")
    root.open("Status of external keys")
    expect(root.fact("Every (minutes)")).to_have_text("30")
    root.press("Change interval")
    root.page.get_by_label("Minutes").fill("5")
    root.press("Change interval")
    expect(root.fact("Every (minutes)")).to_have_text("5")

    assert looked(root) == "enabled"
    key.disable()
    assert looked(root) == "disabled"
    expect(root.page.get_by_role("region", name="Open alerts")).to_contain_text("is disabled")
    assert shown(ada) == {""}
    expect(ada.page.get_by_role("main")).to_contain_text("2 values cannot be opened here now")
    ada.page.goto("/people.form?sys_id=1")
    ada.page.get_by_label("name").fill("Anna")
    ada.press("Update")
    ada.sees("Saved: name")
    key.enable()
    assert looked(root) == "enabled"
    expect(root.page.get_by_role("region", name="Open alerts")).to_have_count(0)
    assert shown(ada) == CITIES


def rewrapping_after_rotation(root: Person, ada: Person, prod: Served, key: AwsKey) -> None:
    """Automatic key rewrapping after AWS key rotation: the EKEK alone is rewrapped."""
    rest = "SELECT material, ekek_id FROM sys_kmf_module_key", "SELECT number, city FROM people"
    before = [stored(prod.home, query) for query in rest]
    ((old, material),) = stored(prod.home, "SELECT wrapped, material_id FROM sys_kmf_external_key")
    key.rotate()
    assert looked(root) == "enabled"
    root.sees("1 rewrapped")
    ((new, other),) = stored(prod.home, "SELECT wrapped, material_id FROM sys_kmf_external_key")
    assert (new, other) != (old, material)
    assert other == key.proxy.material_id(key.key_id)
    assert [stored(prod.home, query) for query in rest] == before
    assert shown(ada) == CITIES


def pending_deletion(root: Person, ada: Person, key: AwsKey) -> None:
    """Pending deletion: seven days at least, told with its date; taken back, it is disabled."""
    key.schedule_deletion(7)
    assert looked(root) == "pending deletion"
    alert = root.page.get_by_role("region", name="Open alerts")
    expect(alert).to_contain_text("It is to be deleted on 20")
    expect(alert).to_contain_text("2 values in 1 column,")
    assert shown(ada) == {""}
    key.cancel_deletion()
    assert looked(root) == "disabled"
    key.enable()
    assert looked(root) == "enabled"
    assert shown(ada) == CITIES


def looked(root: Person) -> str:
    """The status of the one configuration after a look at its provider."""
    root.navigate("External Key Configurations")
    root.press("Check now")
    root.sees("External keys:")
    (status,) = root.column("Status")
    return status


def shown(person: Person) -> set[str]:
    """The cities that somebody sees in the list; as soon as his process has heard what is new."""
    person.page.goto("/people.list")
    return set(person.column("city"))
