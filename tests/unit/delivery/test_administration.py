"""Declared tables over HTTPS: lists, rows, operations, rights, and what is refused."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from keystead.access import accounts, people
from keystead.access.authority import OPERATIONS as RIGHTS
from keystead.access.authority import READERS
from keystead.access.recorder import Recorder
from keystead.access.roles import ADMIN, AUDITOR, OPERATOR, SECURITY
from keystead.crypto import password
from keystead.delivery.api.administration import ROOT
from keystead.delivery.api.log_in import ELEVATE
from keystead.delivery.api.peers import application
from keystead.delivery.api.routing import routers
from keystead.dictionary.registry import BY_PATH
from keystead.exchange.identity import own_identity
from keystead.records.session import Records

PASSWORD = "correct horse battery"
ROLES = {"chief": [ADMIN, SECURITY], "worker": [OPERATOR], "auditor": [AUDITOR], "stranger": ["x"]}
MISSING = "0" * 32


class Api:
    def __init__(self, site: Any) -> None:
        self.site = site
        identity = own_identity(site.hierarchy, "prod", site.instance.certificate)
        self.recorder = Recorder(site.database)
        records = Records(site.database, site.hierarchy, self.recorder)
        paths = routers(site.instance, None, records, self.recorder)
        self.client = TestClient(application(identity, lambda frame: frame, paths))
        self.tokens = {}
        with site.transaction() as tx:
            for user, roles in ROLES.items():
                people.create_user(tx, site.integrity, user, roles, "test")
                self.tokens[user] = accounts.make_token(tx, site.integrity, user, "t", 1, "test")

    def call(self, method: str, path: str, user: str | None = "chief", **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        headers.update(options.pop("headers", {}))
        path = path if path.startswith("/api/") else ROOT + path
        return self.client.request(method, path, headers=headers, **options)

    def rows(self, path: str, user: str = "chief", **parameters: str) -> list[dict[str, Any]]:
        answer = self.call("GET", path, user, params=parameters)
        assert answer.status_code == 200, answer.text
        result: list[dict[str, Any]] = answer.json()["result"]
        return result

    def with_password(self, user: str) -> dict[str, str]:
        with self.site.transaction() as tx:
            accounts.set_password(tx, self.site.integrity, user, PASSWORD, "test")
        given = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        return {"Authorization": f"Basic {given}"}


@pytest.fixture
def api(site: Any) -> Iterator[Api]:
    made = Api(site)
    with made.client, made.recorder:
        yield made


def failed(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["error"]["code"]) == ("failure", code)
    assert body["error"]["message"]


def test_a_list_has_what_is_declared_and_no_more(api: Api) -> None:
    for path, table in BY_PATH.items():
        names = {"sys_id", *(field.name for field in table.fields)}
        assert all(set(row) == names for row in api.rows(path=f"/{path}"))
    assert [row["name"] for row in api.rows("/modules")] == ["global.standard", "global.equal"]


def test_a_list_is_filtered_sorted_and_paged(api: Api) -> None:
    api.site.rotate("standard")
    active = api.rows("/keys", query="state=active^ORDERBYDESCmodule_id", version="2")
    assert [(row["state"], row["version"]) for row in active] == [("active", 2)]
    answer = api.call("GET", "/keys", params={"limit": "1", "offset": "1", "query": "version=1"})
    assert (len(answer.json()["result"]), answer.headers["x-total-count"]) == (1, "2")
    links = answer.headers["link"]
    assert f"<{ROOT}/keys?" in links
    assert "version%3D1" in links
    assert links.count("offset=0>") == 2
    far = api.call("GET", "/keys", params={"offset": "999999999"})
    assert (far.status_code, far.json()["result"]) == (200, [])
    failed(api.call("GET", "/keys", params={"offset": str(10**18)}), 400, "parameter.number")
    failed(api.call("GET", "/keys", params={"material": "x"}), 404, "column.missing")
    failed(api.call("GET", "/keys", params={"query": "material=x"}), 404, "column.missing")


def test_one_row_and_none(api: Api) -> None:
    (first, _) = api.rows("/modules")
    assert api.call("GET", f"/modules/{first['sys_id']}").json()["result"] == first
    failed(api.call("GET", f"/modules/{MISSING}"), 404, "row.missing")
    failed(api.call("GET", "/nothing"), 404, "path.missing")
    failed(api.call("GET", "/nothing/x"), 404, "path.missing")


def test_a_module_is_made_published_and_its_key_revoked(api: Api) -> None:
    made = api.call("POST", "/modules", json={"name": "hr.pay"})
    assert made.status_code == 201, made.text
    result = made.json()["result"]
    assert made.headers["location"] == f"{ROOT}/modules/{result['sys_id']}"
    assert made.headers["cache-control"] == "no-store"
    assert api.call("POST", f"/modules/{result['sys_id']}/publish").status_code == 200
    (key,) = api.rows("/keys", module_id=result["sys_id"])
    told = api.call("POST", f"/keys/{key['sys_id']}/revoke", json={"reason": "leaked"})
    assert (told.status_code, told.json()["result"]["table"]) == (200, "sys_kmf_module_key")
    assert api.call("GET", f"/keys/{key['sys_id']}").json()["result"]["state"] == "revoked"
    revoked = "SELECT actor FROM keystead_audit WHERE action = 'key.revoke'"
    assert api.site.sql(revoked) == [("user:chief",)]
    failed(api.call("POST", f"/keys/{key['sys_id']}/revoke", json={"reason": "x"}), 409,
           "operation.unfit")  # fmt: skip


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"", None, 400, "operation.parameters"),
        (b"{}", "application/json", 400, "operation.parameters"),
        (b'{"name": 5}', "application/json", 400, "operation.parameters"),
        (b'{"name": "a.b", "more": 1}', "application/json", 400, "operation.parameters"),
        (b'{"name": "a.b", "scheme": "rot13"}', "application/json", 400, "operation.parameters"),
        (b'{"name": "a\\u0000b"}', "application/json", 400, "text.nul"),
        (b'{"name": "\\ud800"}', "application/json", 400, "body.form"),
        (b'{"name": "a.b"', "application/json", 400, "body.form"),
        (b"[]", "application/json", 400, "body.form"),
        (b"[" * 100_000, "application/json", 400, "body.form"),
        (b"\xff\xfe", "application/json", 400, "body.form"),
        (b'{"name": "a.b"}', "text/plain", 415, "body.type"),
        (b'{"name": "a.b"}', None, 415, "body.type"),
        (b" " * (1024 * 1024 + 1), "application/json", 413, "http"),
    ],
)
def test_bodies_that_do_not_fit(
    api: Api, body: bytes, kind: str | None, status: int, code: str
) -> None:
    headers = {"Content-Type": kind} if kind else {}
    failed(api.call("POST", "/modules", content=body, headers=headers), status, code)
    assert len(api.rows("/modules")) == 2


def test_nobody_is_let_in_and_nothing_is_told(api: Api) -> None:
    for method, path in (
        ("GET", "/keys"),
        ("GET", "/nothing"),
        ("GET", f"/keys/{MISSING}"),
        ("POST", "/modules"),
        ("POST", "/modules/nothing"),
        ("POST", f"/keys/{MISSING}/rotate"),
    ):
        failed(api.call(method, path, None), 401, "login.needed")


def test_rights_are_asked_before_rows_are_looked_for(api: Api) -> None:
    (key, _) = api.rows("/keys")
    for sys_id in (key["sys_id"], MISSING):
        for verb in ("rotate", "revoke", "destroy"):
            answer = api.call("POST", f"/keys/{sys_id}/{verb}", "auditor", json={})
            failed(answer, 403, "authority.role")
        failed(api.call("GET", f"/keys/{sys_id}", "stranger"), 403, "authority.table")
    failed(api.call("POST", "/modules", "worker", json={"name": "a.b"}), 403, "authority.role")
    for table in READERS:
        for path, declared in BY_PATH.items():
            if declared.name == table and "*" not in READERS[table].roles:
                failed(api.call("GET", f"/{path}", "stranger"), 403, "authority.table")
    assert api.call("POST", f"/keys/{key['sys_id']}/rotate", "worker").status_code == 200


def test_a_row_that_somebody_else_may_see_or_change_stays_closed(api: Api) -> None:
    """Its id is known, or guessed; whether it is there is not told."""
    for path, table in BY_PATH.items():
        if "*" in READERS[table.name].roles:
            continue
        right = READERS[table.name]
        readable = AUDITOR in right.roles and not right.elevated
        ids = [row["sys_id"] for row in api.rows(f"/{path}", "auditor")[:1]] if readable else []
        for sys_id in (*ids, MISSING):
            failed(api.call("GET", f"/{path}/{sys_id}", "stranger"), 403, "authority.table")
            own = f"/api/now/table/{table.name}/{sys_id}"
            failed(api.call("GET", own, "stranger"), 403, "authority.table")
            for operation in table.operations:
                if "*" not in RIGHTS[operation.name].roles:
                    answer = api.call("POST", f"/{path}/{sys_id}/{operation.verb}", "stranger")
                    failed(answer, 403, "authority.role")
        for operation in table.actions:
            if "*" not in RIGHTS[operation.name].roles:
                answer = api.call("POST", f"/{path}/{operation.verb}", "stranger", json={})
                failed(answer, 403, "authority.role")
        if table.create is not None and "*" not in RIGHTS[table.create.name].roles:
            answer = api.call("POST", f"/{path}", "stranger", json={})
            failed(answer, 403, "authority.role")


def test_to_elevate_the_password_is_checked_each_time(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    is_right = password.is_right

    def counted(clear: str, stored: str) -> bool:
        checked.append(clear)
        return is_right(clear, stored)

    monkeypatch.setattr(password, "is_right", counted)
    basic = api.with_password("chief")
    for headers in (basic, basic, {**basic, ELEVATE: SECURITY}, {**basic, ELEVATE: SECURITY}):
        assert api.call("GET", "/keys", None, headers=headers).status_code == 200
    assert len(checked) == 3


def test_what_needs_elevation_takes_the_password_and_the_header(api: Api) -> None:
    api.site.rotate("standard")
    (key,) = api.rows("/keys", state="deactivated")
    path, elevate = f"/keys/{key['sys_id']}/destroy", {ELEVATE: SECURITY}
    basic = api.with_password("chief")
    failed(api.call("POST", path), 403, "authority.elevation")
    failed(api.call("POST", path, headers=elevate), 403, "authority.elevation")
    failed(api.call("POST", path, None, headers=basic), 403, "authority.elevation")
    other = {**basic, ELEVATE: ADMIN}
    failed(api.call("POST", path, None, headers=other), 403, "authority.elevation")
    lesser = {**api.with_password("worker"), **elevate}
    failed(api.call("POST", path, None, headers=lesser), 403, "authority.role")
    answer = api.call("POST", path, None, headers={**basic, **elevate})
    assert answer.status_code == 200, answer.text


def test_methods_and_paths_that_are_not_there(api: Api) -> None:
    (key, _) = api.rows("/keys")
    for method, path in (
        ("POST", "/keys"),
        ("POST", f"/keys/{key['sys_id']}"),
        ("DELETE", f"/keys/{key['sys_id']}"),
        ("PUT", "/modules"),
    ):
        failed(api.call(method, path, json={}), 405, "http")
    failed(api.call("POST", f"/keys/{key['sys_id']}/publish"), 404, "path.missing")
    failed(api.call("POST", "/nothing", json={}), 404, "path.missing")


@pytest.mark.parametrize(
    ("headers", "is_own"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": "https://testserver.local"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://testserver.local"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({}, True),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    api: Api, headers: dict[str, str], is_own: bool
) -> None:
    (key, _) = api.rows("/keys")
    answer = api.call("POST", f"/keys/{key['sys_id']}/rotate", headers=headers)
    if is_own:
        assert answer.status_code == 200, answer.text
    else:
        failed(answer, 403, "request.foreign")
        assert len(api.rows("/keys")) == 2


KEYS = "/api/now/table/sys_kmf_module_key"
MODULES = "/api/now/table/sys_kmf_crypto_module"


def test_own_tables_are_read_by_the_table_api(api: Api) -> None:
    answer = api.call("GET", f"{KEYS}?sysparm_query=state=active^ORDERBYversion&sysparm_limit=1")
    (record,) = answer.json()["result"]
    assert answer.headers["x-total-count"] == "2"
    assert answer.headers["link"].count("rel=") == 3
    (row,) = [row for row in api.rows("/keys") if row["sys_id"] == record["sys_id"]]
    module = f"/api/now/table/sys_kmf_crypto_module/{row['module_id']}"
    assert record["module_id"] == {"value": row["module_id"], "link": module}
    assert (record["version"], record["held"], record["revoked_at"]) == ("1", "true", "")
    assert record["activated_at"] == row["activated_at"][:19].replace("T", " ")
    one = api.call("GET", f"{KEYS}/{record['sys_id']}", params={"sysparm_fields": "version,x"})
    assert one.json()["result"] == {"version": "1"}
    name = api.call("GET", module).json()["result"]["name"]
    assert name in ("global.standard", "global.equal")
    failed(api.call("GET", f"{KEYS}/{MISSING}"), 404, "row.missing")


@pytest.mark.parametrize("link", [True, False])
def test_display_values_of_references(api: Api, link: bool) -> None:
    (module, _) = api.rows("/modules")
    wanted = {"sysparm_fields": "module_id,source_instance", "module_id": module["sys_id"]}
    given = {**wanted, **({} if link else {"sysparm_exclude_reference_link": "true"})}
    value, display = module["sys_id"], "global.standard"
    linked = {"link": f"{MODULES}/{value}"} if link else {}
    empty = {"display_value": "", "value": ""}
    for mode, shown, nothing in (
        ("false", {"value": value, **linked} if link else value, ""),
        ("true", {"display_value": display, **linked} if link else display, ""),
        ("all", {"display_value": display, "value": value, **linked}, empty),
    ):
        answer = api.call("GET", KEYS, params={**given, "sysparm_display_value": mode})
        assert answer.json()["result"] == [{"module_id": shown, "source_instance": nothing}]


def test_own_tables_are_read_only_by_who_may_and_never_written(api: Api) -> None:
    (key, _) = api.rows("/keys")
    for path in (KEYS, f"{KEYS}/{key['sys_id']}", "/api/now/stats/sys_kmf_module_key"):
        failed(api.call("GET", path, "stranger"), 403, "authority.table")
        failed(api.call("GET", path, None), 401, "login.needed")
    for method, path in (("POST", KEYS), ("PUT", f"{KEYS}/x"), ("PATCH", f"{KEYS}/x")):
        failed(api.call(method, path, json={}), 403, "table.administered")
    failed(api.call("DELETE", f"{KEYS}/{key['sys_id']}"), 403, "table.administered")
    for name in ("keystead_instance_key", "keystead_user_credential", "sqlite_master"):
        failed(api.call("GET", f"/api/now/table/{name}"), 400, "table.missing")
        failed(api.call("GET", f"/api/now/stats/{name}"), 400, "table.missing")


def test_counts(api: Api) -> None:
    api.site.rotate("standard")
    path, counted = "/api/now/stats/sys_kmf_module_key", {"sysparm_count": "true"}
    assert api.call("GET", path, params=counted).json() == {"result": {"stats": {"count": "3"}}}
    assert api.call("GET", path).json() == {"result": {"stats": {}}}
    grouped = api.call("GET", path, params={**counted, "sysparm_group_by": "state,held"})
    assert grouped.json()["result"] == [
        {
            "stats": {"count": count},
            "groupby_fields": [
                {"field": "state", "value": state},
                {"field": "held", "value": "true"},
            ],
        }
        for state, count in (("active", "2"), ("deactivated", "1"))
    ]
    failed(api.call("GET", path, params={"sysparm_group_by": "material"}), 404, "column.missing")
