"""Records over HTTPS on each database, for tables with keys and columns of several kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import URL

from keystead.access import accounts, people, policies
from keystead.access.decision import Operation, PolicyType, Result
from keystead.access.recorder import Recorder
from keystead.adapters.databases.mariadb import MariadbDatabase
from keystead.adapters.databases.postgresql import PostgresqlDatabase
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import KeysteadError
from keystead.crypto.envelope import Scheme
from keystead.delivery.api import errors
from keystead.delivery.api.routing import routers
from keystead.fields import census, mass_job
from keystead.fields import service as fields
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.registry import CAPABILITIES
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.records.session import Records

ACTOR = "admin"
SERVERS = {"postgresql": PostgresqlDatabase, "mariadb": MariadbDatabase}
UUIDS = [f"abcdef0{n}-0000-4000-8000-0000000000ff" for n in range(4)]
NO_CASE = {"sqlite": "NOCASE", "postgresql": "no_case", "mariadb": "utf8mb4_general_ci"}
# how the key is declared, the keys of two rows, and one for a new row with how it is stored
KINDS: dict[str, tuple[str, list[tuple[Any, ...]], tuple[Any, ...], str]] = {
    "text": ("id VARCHAR(40)", [("k 1é",), ("山?",)], ("k,2",), "k,2"),
    "composite": ("part VARCHAR(9), n INTEGER", [("a", -1), ("a", 10)], ("c", 5), "c,5"),
    "uuid": ("id UUID", [(one,) for one in UUIDS[:2]], (UUIDS[3].upper(),), UUIDS[3]),
    "padded": ("id CHAR(8)", [("a",), ("aa",)], ("c",), "c"),
    "day": (
        "id DATE",
        [("2020-01-01",), ("2020-01-02",)],
        ("2030-01-31",),
        "2030-01-31",
    ),
    "decimal": ("id NUMERIC(9, 2)", [("1",), ("30.5",)], ("7",), "7.00"),
}


class Api:
    """An instance on one database, and what a user is answered."""

    def __init__(self, engine: str, folder: Path, connect: Callable[[Home], Any]) -> None:
        opening.init(folder, "prod", 8420, connect, ACTOR)
        self.engine = engine
        self.instance = opening.open_instance(folder, connect)
        self.database = self.instance.database
        self.hierarchy = hierarchy = self.instance.hierarchy
        with self.database.transaction() as tx:
            people.create_user(tx, hierarchy.integrity, "ada", ["r"], ACTOR)
            self.token = accounts.make_token(tx, hierarchy.integrity, "ada", "t", 1, ACTOR)
            for name, scheme in (("standard", Scheme.STANDARD), ("equal", Scheme.EQUALITY)):
                keys.create_module(tx, hierarchy, name, scheme, ACTOR)
                module = keys.publish_module(tx, hierarchy, name, ACTOR)
                policies.add(
                    tx,
                    hierarchy.integrity,
                    module_id=module["sys_id"],
                    module_name=name,
                    type=PolicyType.ROLE,
                    target="r",
                    operation=Operation.BOTH,
                    result=Result.TRACK,
                    actor=ACTOR,
                )
        self.recorder = Recorder(self.database)
        records = Records(self.database, hierarchy, self.recorder)
        self.client = TestClient(
            Litestar(
                routers(self.instance, None, records, self.recorder),
                exception_handlers={KeysteadError: errors.refused, Exception: errors.unexpected},
            )
        )

    def sql(self, *statements: str) -> None:
        with self.database.transaction() as tx:
            for statement in statements:
                tx.exec_driver_sql(statement)

    def encrypt(self, table: str, **columns: str) -> None:
        with self.database.transaction() as tx:
            for column, module in columns.items():
                fields.configure(
                    tx,
                    self.database,
                    self.hierarchy,
                    table=table,
                    column=column,
                    module=module,
                    actor=ACTOR,
                )
            job_id = mass_job.start(
                tx, self.hierarchy, JobKind.ENCRYPT, table, rows_per_second=None, actor=ACTOR
            )
        jobs.run_stage(self.database, job_id, mass_job.MassJob(self.database, self.hierarchy).move)

    def call(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        path = f"/api/now/table/{path}"
        answer = self.client.request(method, path, headers=headers, **options)
        body = answer.json() if answer.content else {}
        return answer.status_code, body.get("result", body.get("error", {}).get("code"))

    def unreadable(self, table: str) -> int:
        with self.database.snapshot() as tx:
            counted = census.open_all(tx, self.database, self.hierarchy, table)
        return sum((c.unreadable or 0) + c.plain + c.unknown for c in counted)


@pytest.fixture(params=["sqlite", *SERVERS])
def api(
    request: pytest.FixtureRequest, new_database: Callable[[str], URL], tmp_path: Path
) -> Iterator[Api]:
    assert CAPABILITIES
    url = None if request.param == "sqlite" else new_database(request.param)

    def connect(home: Home) -> Any:
        return SqliteDatabase(home.database_file) if url is None else SERVERS[request.param](url)

    made = Api(request.param, tmp_path / "home", connect)
    with made.client, made.recorder:
        yield made
    made.database.close()


def kept(engine: str, kind: str) -> tuple[str, list[tuple[Any, ...]], tuple[Any, ...], str]:
    declared, found, given, stored = KINDS[kind]
    if engine != "sqlite" or kind == "composite":
        return declared, found, given, stored
    # SQLite has no such types: what is given is what is kept
    return "id TEXT", found, (stored,), stored


def quoted(key: str) -> str:
    return key.replace("?", "%3F").replace(" ", "%20")


def test_records_with_keys_of_every_kind(api: Api) -> None:
    """Made, listed, found, opened, changed and removed; every value opens all the while."""
    for kind in KINDS:
        declared, found, given, stored = kept(api.engine, kind)
        names = ["part", "n"] if kind == "composite" else ["id"]
        api.sql(
            f"CREATE TABLE t_{kind} ({declared}, name VARCHAR(40), team VARCHAR(40), note DATE,"
            f" PRIMARY KEY ({', '.join(names)}))"
        )
        rows = [(*of, f"name {at}", "north") for at, of in enumerate(found)]
        with api.database.transaction() as tx:
            api.database.insert(tx, f"t_{kind}", [*names, "name", "team"], rows)
        api.encrypt(f"t_{kind}", name="standard", team="equal")

        record = {**dict(zip(names, map(str, given), strict=True)), "name": "new", "team": "west"}
        status, made = api.call("POST", f"t_{kind}", json={**record, "note": "2020-02-03"})
        assert (status, made["sys_id"], made["name"]) == (201, stored, "new"), kind
        assert made["note"] == "2020-02-03"
        _, listed = api.call("GET", f"t_{kind}")
        assert sorted(r["name"] for r in listed) == ["name 0", "name 1", "new"], kind
        for one in listed:
            path = f"t_{kind}/{quoted(one['sys_id'])}"
            assert api.call("GET", path) == (200, one), kind
            equal = [f"{name}={one[name]}" for name in names]
            _, again = api.call("GET", f"t_{kind}", params={"sysparm_query": "^".join(equal)})
            assert again == [one], kind
            status, changed = api.call("PATCH", path, json={"name": "changed", "note": ""})
            assert (status, changed) == (200, {**one, "name": "changed", "note": ""}), kind
        _, north = api.call("GET", f"t_{kind}", params={"sysparm_query": "team=north"})
        assert len(north) == 2, kind
        _, early = api.call("GET", f"t_{kind}", params={"sysparm_query": "note<2020-01-01"})
        assert early == []
        assert api.unreadable(f"t_{kind}") == 0, kind
        for one in listed:
            assert api.call("DELETE", f"t_{kind}/{quoted(one['sys_id'])}")[0] == 204, kind
        assert api.call("GET", f"t_{kind}")[1] == []


@pytest.mark.parametrize("order", ["", "ORDERBYteam", "ORDERBYDESCteam", "team!=c^ORDERBYteam"])
def test_pages_are_parts_of_the_whole_list_from_wherever_they_are_reached(
    api: Api, order: str
) -> None:
    teams = ["'b'", "NULL", "'a'", "'b'", "NULL", "'c'", "'a'", "''", "'b'"]
    api.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, team VARCHAR(9))",
        *(f"INSERT INTO t VALUES ({number}, {team})" for number, team in enumerate(teams)),
    )
    query = {"sysparm_query": order}
    _, whole = api.call("GET", "t", params={**query, "sysparm_no_count": "true"})
    assert len(whole) > 5
    for offset in range(len(whole) + 2):
        page = {**query, "sysparm_limit": 2, "sysparm_offset": offset}
        assert api.call("GET", "t", params=page) == (200, whole[offset : offset + 2])


def test_a_key_that_is_made_is_the_one_that_is_stored(api: Api) -> None:
    kinds = {"n": "INTEGER", "t": "VARCHAR(40)", "u": "UUID"}
    if api.engine == "sqlite":
        del kinds["u"]
    for name, kind in kinds.items():
        api.sql(f"CREATE TABLE {name} (id {kind} NOT NULL PRIMARY KEY, secret VARCHAR(40))")
        api.encrypt(name, secret="standard")
        for value in ("one", "two"):
            status, made = api.call("POST", name, json={"secret": value})
            assert (status, made["secret"]) == (201, value), kind
            assert api.call("GET", f"{name}/{made['id']}") == (200, made)
        assert len(api.call("GET", name)[1]) == 2
        assert api.unreadable(name) == 0


def test_a_record_is_found_by_its_key_as_it_is_stored_and_by_no_other(api: Api) -> None:
    if api.engine == "postgresql":
        api.sql(
            "CREATE COLLATION no_case"
            " (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    api.sql(
        f"CREATE TABLE t (id VARCHAR(20) COLLATE {NO_CASE[api.engine]} PRIMARY KEY,"
        " secret VARCHAR(40))",
        "INSERT INTO t VALUES ('ABC', 'x')",
    )
    api.encrypt("t", secret="standard")
    for key in ("abc", "ABC%20", "Abc"):
        assert api.call("GET", f"t/{key}") == (404, "record.missing")
        assert api.call("PATCH", f"t/{key}", json={"secret": "y"}) == (404, "record.missing")
        assert api.call("DELETE", f"t/{key}") == (404, "record.missing")
    assert api.call("POST", "t", json={"id": "abc", "secret": "y"}) == (409, "record.refused")
    status, changed = api.call("PATCH", "t/ABC", json={"id": "abc"})
    assert (status, changed["id"], changed["secret"]) == (200, "abc", "x")
    assert api.unreadable("t") == 0


def test_a_key_that_the_database_keeps_otherwise_is_refused(api: Api) -> None:
    """A trigger stands for whatever a database does to a key."""
    api.sql("CREATE TABLE t (id VARCHAR(20) NOT NULL PRIMARY KEY, secret VARCHAR(40))")
    api.encrypt("t", secret="standard")
    api.sql(*TRIGGERS[api.engine])
    assert api.call("POST", "t", json={"id": "a", "secret": "x"}) == (400, "record.key_form")
    assert api.call("POST", "t", json={"id": "A", "secret": "x"})[0] == 201
    assert api.call("PATCH", "t/A", json={"id": "b"}) == (400, "record.key_form")
    assert [r["id"] for r in api.call("GET", "t")[1]] == ["A"]
    assert api.unreadable("t") == 0


TRIGGERS = {
    "sqlite": [
        f"CREATE TRIGGER t_{what.split()[0]} AFTER {what} ON t"
        " BEGIN UPDATE t SET id = upper(new.id) WHERE id = new.id; END"
        for what in ("INSERT", "UPDATE OF id")
    ],
    "postgresql": [
        "CREATE FUNCTION upper_id() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN new.id := upper(new.id); RETURN new; END'",
        "CREATE TRIGGER t_upper BEFORE INSERT OR UPDATE ON t FOR EACH ROW"
        " EXECUTE FUNCTION upper_id()",
    ],
    "mariadb": [
        f"CREATE TRIGGER t_{what} BEFORE {what} ON t FOR EACH ROW SET new.id = upper(new.id)"
        for what in ("INSERT", "UPDATE")
    ],
}


def test_columns_of_other_kinds_are_shown_asked_and_written_as_text(api: Api) -> None:
    api.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, born DATE, pay NUMERIC(9, 2), half DOUBLE"
        f" PRECISION, at TIMESTAMP{' NULL' if api.engine == 'mariadb' else ''},"
        " must VARCHAR(40) NOT NULL, secret VARCHAR(40) NOT NULL)"
    )
    api.encrypt("t", secret="standard")
    record = {
        **{"born": "2020-01-02", "pay": "12.50", "half": "0.5", "at": "2020-01-02 03:04:05"},
        **{"must": "m", "secret": "s"},
    }
    status, made = api.call("POST", "t", json=record)
    assert status == 201
    pay = "12.5" if api.engine == "sqlite" else "12.50"
    assert made == {**record, "pay": pay, "id": "1", "sys_id": "1"}
    for query in (
        "born=2020-01-02",
        "pay=12.5",
        "pay>12^born<2020-01-03",
        "bornLIKE2020",
        "half>0",
    ):
        _, found = api.call("GET", "t", params={"sysparm_query": query})
        assert [r["id"] for r in found] == ["1"], query
    status, changed = api.call("PUT", "t/1", json={**made, "born": "", "pay": "", "at": ""})
    assert (status, changed) == (200, {**made, "born": "", "pay": "", "at": ""})
    assert api.call("POST", "t", json={"must": "m"}) == (400, "value.missing")
    assert api.call("PATCH", "t/1", json={"secret": None}) == (400, "value.missing")
    for query in ("id=x", f"id={2**63}", f"id>{'9' * 5000}"):
        assert api.call("GET", "t", params={"sysparm_query": query})[0] == 400
    assert api.unreadable("t") == 0


def test_numbers_that_do_not_fit_are_refused(api: Api) -> None:
    api.sql("CREATE TABLE t (id BIGINT PRIMARY KEY, secret BIGINT)")
    api.encrypt("t", secret="standard")
    long = "9" * 5_000
    for number in (2**63, -(2**63) - 1, str(2**63), long):
        assert api.call("POST", "t", json={"id": 1, "secret": number}) == (400, "value.range")
        assert api.call("POST", "t", json={"id": number}) == (400, "value.range")
        assert api.call("GET", f"t/{number}") == (400, "value.range")
    assert api.call("POST", "t", content=b'{"id": %s}' % long.encode())[0] == 415
    for column, value in (("id", "1_0"), ("secret", "1.5"), ("secret", "x"), ("id", "١")):
        assert api.call("POST", "t", json={"id": 1, column: value}) == (400, "value.number")
    status, made = api.call("POST", "t", json={"id": 2**63 - 1, "secret": -(2**63)})
    assert (status, made["id"], made["secret"]) == (201, str(2**63 - 1), str(-(2**63)))
    assert api.call("POST", "t", json={"secret": "5"}) == (409, "record.key_none")
    assert [r["id"] for r in api.call("GET", "t")[1]] == [str(2**63 - 1)]


BAD: list[tuple[str, str, dict[str, Any], tuple[int, Any]]] = [
    ("GET", "t%00", {}, (400, "text.nul")),
    ("GET", "t/a%00", {}, (400, "text.nul")),
    ("GET", "t?sysparm_query=secret=%00", {}, (400, "text.nul")),
    ("POST", "t", {"json": {"plain": "a\0"}}, (400, "text.nul")),
    ("POST", "t", {"json": {"id": "a\0"}}, (400, "text.nul")),
    ("PATCH", "t/k", {"json": {"plain": "\0"}}, (400, "text.nul")),
    ("GET", "t?sysparm_offset=1000000000000000000", {}, (400, "parameter.number")),
    ("GET", "t?sysparm_offset=999999999", {}, (200, [])),
    ("GET", "t?sysparm_query=plain=%ED%A0%80^nLIKE%FF", {}, (200, [])),
    ("GET", "t/%ED%A0%80", {}, (404, "record.missing")),
    ("GET", "t/" + "k" * 5_000, {}, (404, "record.missing")),
    ("GET", "t" * 5_000, {}, (400, "table.missing")),
    ("GET", "%27%22%60;--", {}, (400, "table.missing")),
    ("GET", "t?n=1e400", {}, (400, "query.value")),
    ("GET", "t?n=" + "9" * 400, {}, (400, "value.range")),
    ("POST", "t", {"json": {"n": 10**30}}, (400, "value.range")),
    ("POST", "t", {"json": {"n": "x"}}, (400, "value.number")),
    ("POST", "t", {"content": b'{"plain": "\\ud800"}'}, (400, "body.form")),
    ("POST", "t", {"content": b'{"plain": {"a": 1}}'}, (400, "body.form")),
    ("POST", "t", {"content": b"[" * 100_000}, (400, "body.form")),
    ("POST", "t", {"content": b'{"a":' * 50_000}, (400, "body.form")),
]


def test_whatever_is_sent_is_refused_alike_on_each_database(api: Api) -> None:
    api.sql(
        "CREATE TABLE t (id VARCHAR(40) PRIMARY KEY, secret VARCHAR(40), plain VARCHAR(40),"
        " n INTEGER)",
        "INSERT INTO t (id, secret, plain, n) VALUES ('k', 's', 'p', 1)",
    )
    api.encrypt("t", secret="equal")
    before = api.call("GET", "t")
    for method, path, options, answer in BAD:
        headers = {"content-type": "application/json"} if "content" in options else {}
        api.client.headers.update(headers)
        assert api.call(method, path, **options) == answer, (path[:60], options)
    assert api.call("GET", "t") == before
