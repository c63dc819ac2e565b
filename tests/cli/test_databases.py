"""An instance on a database server: made, used, and its password never said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import URL
from tests.cli.conftest import PEOPLE, keystead, ok

PASSWORD = "KEYSTEAD_DATABASE_PASSWORD"
ENGINES = ("postgresql", "mariadb")


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, new_database: Callable[[str], URL]) -> URL:
    return new_database(request.param)


def test_tables_are_kept_there(url, tmp_path, monkeypatch):
    monkeypatch.setenv(PASSWORD, str(url.password))
    home, file = tmp_path / "prod", tmp_path / "people.csv"
    file.write_text(PEOPLE, encoding="utf-8")
    plain = url.set(password=None).render_as_string()
    made = ok("init", home, "--name", "prod", "--database", plain)
    assert made["database"] == plain
    assert not (home / "instance.db").exists()
    ok("load", home, "people", file, "--key", "number")
    assert {t["table"]: t["rows"] for t in ok("table", "list", home)} == {"people": 4}
    ok("module", "create", home, "names")
    ok("module", "publish", home, "global.names")
    ok("field", "add", home, "people", "name", "city", "--module", "global.names")
    counted = {c["column"]: (c["plain"], c["phase"]) for c in ok("census", home)}
    assert counted == {"name": (4, "mixed"), "city": (3, "mixed")}


def test_a_password_in_the_url_is_kept_and_never_printed(url, tmp_path):
    home, secret = tmp_path / "prod", str(url.password)
    text = url.render_as_string(hide_password=False)
    for words in (["init", home, "--name", "prod", "--database", text], ["config", home]):
        for more in ([], ["--json"]):
            if words[0] == "init" and more:
                words[1] = tmp_path / "again"
            ended = keystead(*words, *more)
            assert secret not in ended.out + ended.err
    assert (home / "instance.toml").stat().st_mode & 0o077 == 0
    assert secret in (home / "instance.toml").read_text()
    assert url.host in ok("config", home)["database"]


def test_a_database_is_not_taken_twice(url, tmp_path):
    text = url.render_as_string(hide_password=False)
    ok("init", tmp_path / "one", "--name", "one", "--database", text)
    ended = keystead("init", tmp_path / "two", "--name", "two", "--database", text)
    assert ended.code
    assert "holds another instance" in ended.err
    assert not (tmp_path / "two").exists()
    ok("table", "list", tmp_path / "one")


@pytest.mark.parametrize(
    "text",
    [
        "oracle://u:topsecret@h/d",
        "postgresql://h/d",
        "mariadb://u:topsecret@h",
        "postgresql",
        "://",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_quoted(text, tmp_path):
    ended = keystead("init", tmp_path / "prod", "--name", "prod", "--database", text)
    assert ended.code
    assert "database's URL" in ended.err
    assert "topsecret" not in ended.err
    assert not (tmp_path / "prod").exists()


@pytest.mark.parametrize(("engine", "driver"), [("postgresql", "psycopg"), ("mariadb", "pymysql")])
def test_a_missing_driver_is_named_with_its_extra(engine, driver, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, driver, None)
    monkeypatch.delitem(sys.modules, f"keystead.adapters.databases.{engine}", raising=False)
    text = f"{engine}://u@h/d"
    ended = keystead("init", tmp_path / "prod", "--name", "prod", "--database", text)
    assert f"keystead[{engine}]" in ended.err


def test_an_embedded_database_is_said_to_be_one(tmp_path: Path):
    ok("init", tmp_path / "prod", "--name", "prod")
    assert ok("config", tmp_path / "prod")["database"] == "the embedded SQLite file"


def test_it_is_backed_up_and_restored_to_another(url, new_database, tmp_path, monkeypatch):
    monkeypatch.setenv(PASSWORD, str(url.password))
    home, file, key = tmp_path / "prod", tmp_path / "people.csv", tmp_path / "key"
    file.write_text(PEOPLE, encoding="utf-8")
    made = ok(
        *("init", home, "--name", "prod"),
        *("--database", url.set(password="").render_as_string(hide_password=False)),
    )
    key.write_text(made["recovery_key"])
    ok("load", home, "people", file, "--key", "number")
    backup, again = tmp_path / "prod.backup", tmp_path / "again"
    keystead("backup", home, backup)
    words = ("restore", backup, again, "--key-file", key)
    assert "--database" in keystead(*words).err
    other = new_database(url.drivername)
    plain = f"{other.drivername}://{other.username}@{other.host}:{other.port}/{other.database}"
    done = keystead(*words, "--database", plain)
    assert done.code == 0, done.err
    assert {t["table"]: t["rows"] for t in ok("table", "list", again)} == {"people": 4}
    assert ok("config", again)["database"] == plain
    assert ok("audit", "verify", again)
