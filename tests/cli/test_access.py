"""Users, groups and policies on the command line, and what `show` shows by them."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import configure, keystead, ok

from keystead.access.roles import CATALOGUE
from keystead.delivery.cli.exits import EXIT_CODES


@pytest.fixture
def home(prod: Path, people: Path) -> Path:
    configure(prod, people)
    ok("user", "add", prod, "ada", "--role", "support")
    ok("user", "add", prod, "bob")
    return prod


def names(home: Path, *words: object) -> list[str]:
    shown = ok("show", home, "people", "--columns", "name", *words)
    return [row["name"] for row in shown["rows"]]


CLEAR = ["Zoë", "李雷", "Ann", "Ann"]
EMPTY = [""] * 4


def test_the_four_visible_effects(home: Path) -> None:
    assert names(home, "--as", "ada") == CLEAR
    assert names(home, "--as", "bob") == EMPTY
    policy = ("policy", "add", home, "--module", "std", "--operation", "encrypt", "--role")
    ok(*policy, "writers")
    ok("user", "role", home, "bob", "writers")
    assert names(home, "--as", "bob") == ["********"] * 4
    ok(*policy, "support")
    shown = {
        user: ok("show", home, "people", "--as", user)["encrypted"]["name"]
        for user in ("ada", "bob")
    }
    assert shown == {
        "ada": {"shown": "clear", "writable": True},
        "bob": {"shown": "asterisks", "writable": True},
    }


def test_groups_users_and_a_strict_reject(home: Path) -> None:
    ok("group", "add", home, "desk", "--role", "support")
    ok("group", "member", home, "desk", "bob")
    assert names(home, "--as", "bob") == CLEAR
    assert ok("group", "list", home) == [
        {"group": "desk", "roles": ["support"], "members": ["bob"]}
    ]
    strict = ("--role", "support", "--result", "strict-reject", "--name", "nobody now")
    ok("policy", "add", home, "--module", "std", *strict)
    assert names(home, "--as", "bob") == EMPTY
    ok("policy", "deactivate", home, "nobody now")
    assert names(home, "--as", "bob") == CLEAR
    ok("policy", "activate", home, "nobody now")
    assert ok("policy", "show", home, "nobody now")["active"] is True
    ok("policy", "remove", home, "nobody now")
    ok("user", "deactivate", home, "bob")
    assert names(home, "--as", "bob") == EMPTY
    ok("user", "activate", home, "bob")
    ok("group", "role", home, "desk", "support", "--remove")
    assert names(home, "--as", "bob") == EMPTY
    ok("group", "role", home, "desk", "support")
    ok("group", "member", home, "desk", "bob", "--remove")
    assert names(home, "--as", "bob") == EMPTY
    assert {u["user"]: u["active"] for u in ok("user", "list", home)} == {"ada": True, "bob": True}


def test_impersonation_and_its_explanation(home: Path) -> None:
    as_bob = ("--as", "bob", "--impersonate", "ada")
    assert names(home, *as_bob) == EMPTY
    flagged = ("--role", "support", "--operation", "decrypt", "--impersonation")
    ok("policy", "add", home, "--module", "std", *flagged)
    assert names(home, *as_bob) == CLEAR
    explained = ok("policy", "debug", home, "--module", "std", *as_bob)
    assert explained["decision"] == "allow"
    assert explained["caller"] == "user:bob > user:ada"
    assert [(s["impersonation"], s["match"]) for s in explained["steps"]] == [
        (False, "not for this caller"),
        (True, "applies"),
    ]
    assert keystead("show", home, "people", "--impersonate", "ada").code == EXIT_CODES["invalid"]


def test_the_debugger_shows_nothing_to_who_may_not_see_it(home: Path) -> None:
    debug = ("policy", "debug", home, "--module", "std", "--as", "ada", "--viewer", "bob")
    ended = keystead(*debug)
    assert (ended.code, ended.out) == (EXIT_CODES["denied"], "")
    ok("user", "role", home, "bob", "sn_kmf.cryptographic_manager")
    assert "support" in keystead(*debug).out


def test_rejections_and_refused_searches(home: Path) -> None:
    assert ok("policy", "rejections", home) == []
    names(home, "--as", "bob")
    names(home, "--as", "bob")
    assert keystead("show", home, "people", "--query", "city=Oslo", "--as", "bob").code == 4
    found = {(r["caller"], r["module"], r["operation"]) for r in ok("policy", "rejections", home)}
    assert found == {
        ("user:bob", "global.std", "decrypt"),
        ("user:bob", "global.eq", "decrypt"),
    }
    actions = [(e["actor"], e["action"]) for e in ok("audit", "list", home)]
    assert ("user:bob", "table.search.refuse") in actions


def test_the_default_of_a_module(home: Path) -> None:
    default = ("policy", "default", home, "--module", "std")
    assert ok(*default) == {"module": "global.std", "default": "system", "actual": "reject"}
    ok(*default, "--set", "track")
    assert names(home, "--as", "bob") == CLEAR
    assert names(home) == EMPTY
    reject = ("--role", "guests", "--result", "reject")
    ok("policy", "add", home, "--module", "std", *reject)
    ok("user", "role", home, "bob", "guests")
    assert names(home, "--as", "bob") == EMPTY


def test_what_cannot_be(home: Path) -> None:
    add = ("policy", "add", home, "--module", "std")
    for words, code in (
        (("--role", "x", "--scope", "y"), 2),
        ((), 2),
        (("--type", "resource exchange", "--role", "x"), EXIT_CODES["invalid"]),
        (("--type", "system-user", "--role", "x"), EXIT_CODES["invalid"]),
        (("--role", "x", "--specification", "none"), EXIT_CODES["not_found"]),
        (("--role", "support", "--operation", "decrypt"), EXIT_CODES["conflict"]),
    ):
        assert keystead(*add, *words).code == code, words
    assert keystead("policy", "remove", home, "none").code == EXIT_CODES["not_found"]
    assert keystead("policy", "debug", home, "--module", "none").code == EXIT_CODES["not_found"]
    assert len(ok("user", "roles")) == len(CATALOGUE)
