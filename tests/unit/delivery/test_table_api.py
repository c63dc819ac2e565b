"""The Table API as a client sees it: shapes, statuses, and what a stranger learns: nothing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from keystead.access import accounts
from keystead.access.recorder import Recorder
from keystead.base import clock
from keystead.crypto import password
from keystead.delivery.api import batch, bodies, tables
from keystead.delivery.api.log_in import Door
from keystead.delivery.api.peers import application
from keystead.delivery.api.routing import routers
from keystead.exchange.identity import own_identity
from keystead.records.session import Records

PASSWORD = "correct horse battery"
JSON = "application/json"
PEOPLE = "/api/now/table/people"


class Api:
    def __init__(self, site: Any) -> None:
        self.site = site
        instance = site.instance
        identity = own_identity(instance.hierarchy, "prod", instance.certificate)
        self.recorder = Recorder(site.database)
        records = Records(site.database, site.hierarchy, self.recorder)
        self.door = Door(site.database, site.integrity, self.recorder)
        paths = routers(instance, None, records, self.recorder, self.door)
        self.client = TestClient(application(identity, lambda frame: frame, paths))
        with site.transaction() as tx:
            self.tokens = {
                user: accounts.make_token(tx, site.integrity, user, "t", 1, "test")
                for user in ("reader", "both", "writer", "guest")
            }

    def call(self, method: str, path: str, user: str | None = "reader", **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        if "type" in options:
            headers["Content-Type"] = options.pop("type")
        return self.client.request(method, path, headers=headers, **options)

    def found(self, query: str, user: str = "reader", **parameters: str) -> Any:
        return self.call("GET", PEOPLE, user, params={"sysparm_query": query, **parameters})

    def ids(self, query: str) -> list[str]:
        return [record["id"] for record in self.found(query).json()["result"]]


@pytest.fixture
def api(sealed: Any) -> Iterator[Api]:
    made = Api(sealed)
    with made.client, made.recorder:
        yield made


def failed(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["error"]["code"]) == ("failure", code)
    assert body["error"]["message"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("prefix", tables.PREFIXES)
def test_every_prefix_serves_the_same(api: Api, prefix: str) -> None:
    answer = api.call("GET", f"{prefix}/people/p01")
    assert answer.json()["result"]["name"] == "Zoë Ångström"
    assert answer.json()["result"]["sys_id"] == "p01"
    assert answer.headers["cache-control"] == "no-store"


def test_all_values_are_texts(api: Api) -> None:
    record = api.call("GET", f"{PEOPLE}/p07").json()["result"]
    assert record == {
        **{"id": "p07", "sys_id": "p07", "name": "", "city": "", "salary": ""},
        **{"email": "zoë@example.com", "team": "", "note": "seven"},
    }
    assert api.call("GET", f"{PEOPLE}/p05").json()["result"]["salary"] == "-7300455"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("id=p01", ["p01"]),
        ("idINp01,p03", ["p01", "p03"]),
        ("id>p10", ["p11", "p12"]),
        ("id<p02^NQid=p12", ["p01", "p12"]),
        ("idSTARTSWITHP1^noteLIKEEn", ["p10", "p11"]),
        ("noteENDSWITHone", ["p01"]),
        ("note=one^ORnote=two^ORDERBYDESCid", ["p02", "p01"]),
        ("team=north", ["p01", "p08", "p12"]),
        ("team=north^ORteam=North", ["p01", "p02", "p08", "p12"]),
        ("teamIN北,north ", ["p03", "p04", "p05"]),
        ("team!=north^id<p04", ["p02", "p03"]),
        ("teamISEMPTY", ["p06", "p07"]),
        ("nameISEMPTY", ["p06", "p07"]),
        ("nameISNOTEMPTY^id<p02", ["p01"]),
        ("note=100%", []),
        ("note=javascript:'one'^ORnote=javascript:one", []),
        ("noteLIKE%", []),
    ],
)
def test_queries(api: Api, query: str, ids: list[str]) -> None:
    assert api.ids(query) == ids
    assert api.found(query).headers["x-total-count"] == str(len(ids))


def test_plain_parameters_narrow_a_query(api: Api) -> None:
    answer = api.found("note!=one", team="north")
    assert [r["id"] for r in answer.json()["result"]] == ["p08", "p12"]


def test_pages(api: Api) -> None:
    answer = api.found("", sysparm_limit="5", sysparm_offset="5", sysparm_fields="id,nothing")
    assert answer.json()["result"] == [{"id": f"p{n:02}"} for n in range(6, 11)]
    assert answer.headers["x-total-count"] == "12"
    links = dict(reversed(part.split(">;rel=")) for part in answer.headers["link"].split(",<"))
    offsets = {rel.strip('"'): url.rsplit("sysparm_offset=", 1)[1] for rel, url in links.items()}
    assert offsets == {"first": "0", "prev": "0", "next": "10", "last": "10"}
    last = api.found("", sysparm_limit="5", sysparm_offset="10")
    assert 'rel="next"' not in last.headers["link"]
    assert len(last.json()["result"]) == 2


def test_display_values_of_all(api: Api) -> None:
    record = api.found("id=p01", sysparm_display_value="all").json()["result"][0]
    assert record["name"] == {"display_value": "Zoë Ångström", "value": "Zoë Ångström"}


def test_a_record_is_made_changed_and_removed(api: Api) -> None:
    made = api.call("POST", PEOPLE, "both", json={"name": "Ñ", "team": "west", "salary": 5})
    assert made.status_code == 201
    key = made.json()["result"]["sys_id"]
    assert made.headers["location"].endswith(f"{PEOPLE}/{key}")
    assert api.ids("team=west") == [key]
    changed = api.call("PATCH", f"{PEOPLE}/{key}", "both", json={"team": "east"})
    assert (changed.status_code, changed.json()["result"]["team"]) == (200, "east")
    assert changed.json()["result"]["name"] == "Ñ"
    assert api.call("PUT", f"{PEOPLE}/{key}", "both", json={"note": None}).status_code == 200
    gone = api.call("DELETE", f"{PEOPLE}/{key}", "both")
    assert (gone.status_code, gone.content) == (204, b"")
    failed(api.call("GET", f"{PEOPLE}/{key}"), 404, "record.missing")


def test_where_a_record_is_comes_without_the_host_that_the_caller_names(api: Api) -> None:
    api.client.headers["Host"] = "evil.example"
    made = api.call("POST", PEOPLE, "both", json={"id": "a b/c?"})
    assert made.headers["location"] == f"{PEOPLE}/a%20b%2Fc%3F"
    links = api.found("", sysparm_limit="5").headers["link"]
    assert f"<{PEOPLE}?" in links
    assert "evil.example" not in links


@pytest.mark.parametrize("said", ["text/plain", "application/x-www-form-urlencoded", None])
def test_only_json_is_taken(api: Api, said: str | None) -> None:
    options = {"content": b'{"id": "n1"}', **({"type": said} if said else {})}
    before = api.site.stored()
    failed(api.call("POST", PEOPLE, "both", **options), 415, "body.type")
    failed(api.call("PATCH", f"{PEOPLE}/p01", "both", **options), 415, "body.type")
    assert api.site.stored() == before
    options["type"] = "Application/JSON; charset=utf-8"
    assert api.call("POST", PEOPLE, "both", **options).status_code == 201


@pytest.mark.parametrize(
    ("method", "path"), [("POST", PEOPLE), ("PUT", f"{PEOPLE}/p01"), ("PATCH", f"{PEOPLE}/p01")]
)
def test_a_body_is_read_after_the_log_in_and_has_a_limit(api: Api, method: str, path: str) -> None:
    read: list[int] = []

    async def receive() -> Any:
        read.append(1)
        return {"type": "http.request", "body": b" " * 65_536, "more_body": True}

    def status(token: str) -> int:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", token.encode()), (b"content-type", JSON.encode())]
        scope = {
            **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1"},
            **{"method": method, "scheme": "https", "path": path, "raw_path": path.encode()},
            **{"query_string": b"", "root_path": "", "headers": headers},
            **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {}},
        }
        asyncio.run(api.client.app(scope, receive, send))
        return int(sent[0]["status"])

    assert status("Bearer kst_nobody") == 401
    assert read == []
    assert status(f"Bearer {api.tokens['both']}") == 413
    assert len(read) == bodies.LIMIT // 65_536 + 1


def test_numbers_of_any_length_are_refused_alike(api: Api) -> None:
    for digits in (20, 400, 5_000):
        number = "9" * digits
        body = f'{{"salary": {number}}}'.encode()
        answer = api.call("POST", PEOPLE, "both", content=body, type=JSON)
        assert (answer.status_code, answer.json()["error"]["code"]) in (
            (400, "value.range"),
            (400, "body.form"),
            (400, "value.number"),
        )
    answer = api.call("PATCH", f"{PEOPLE}/p01", "both", json={"salary": "9" * 5_000})
    failed(answer, 400, "value.range")


def test_a_failed_log_in_is_on_record_under_the_user_it_was_for(api: Api) -> None:
    with api.site.transaction() as tx:
        accounts.set_password(tx, api.site.integrity, "reader", PASSWORD, "test")
    for given in ("reader:wrong", "reader:wronger", "guest:none", "nobody:secret-typed-here"):
        failed(api.client.get(PEOPLE, headers=basic(given)), 401, "login.refused")
    failed(api.client.get(PEOPLE, headers={"Authorization": "Bearer x"}), 401, "login.refused")
    api.recorder.flush()
    found = api.site.sql(
        "SELECT subject, detail FROM keystead_audit WHERE action = 'login.refuse' ORDER BY 1"
    )
    assert found == [("?", '{"count": 2}'), ("guest", '{"count": 1}'), ("reader", '{"count": 2}')]


def test_a_password_is_hashed_outside_any_transaction(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api.site.transaction() as tx:
        accounts.set_password(tx, api.site.integrity, "reader", PASSWORD, "test")
    open_then: list[int] = []

    def wrong(_given: str, _stored: str) -> bool:
        open_then.append(api.site.database._engine.pool.checkedout())
        return False

    monkeypatch.setattr(password, "is_right", wrong)
    for name in ("reader", "nobody"):
        failed(api.client.get(PEOPLE, headers=basic(f"{name}:x")), 401, "login.refused")
    assert open_then == [0, 0]


def test_an_empty_insert_needs_no_body(api: Api) -> None:
    assert api.call("POST", PEOPLE, "both").status_code == 201


def test_a_stranger_sees_empty_values_and_may_ask_nothing_about_them(api: Api) -> None:
    record = api.call("GET", f"{PEOPLE}/p01", "guest").json()["result"]
    assert [record[c] for c in ("name", "city", "salary", "email", "team")] == [""] * 5
    for column in ("name", "team"):
        for query in (f"{column}=x", f"{column}ISEMPTY", f"ORDERBY{column}", f"id=p01^{column}!=x"):
            failed(api.found(query, "guest"), 403, "query.denied")
            failed(api.found(query, "writer"), 403, "query.denied")
    failed(api.call("GET", PEOPLE, "guest", params={"team": "north"}), 403, "query.denied")


def test_saving_the_form_one_was_shown_changes_nothing(api: Api) -> None:
    before = api.site.stored()
    for user in ("guest", "writer"):
        record = api.call("GET", f"{PEOPLE}/p01", user).json()["result"]
        assert api.call("PUT", f"{PEOPLE}/p01", user, json=record).status_code == 200
    assert api.site.stored() == before


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/api/now/table/nothing", {}, 400, "table.missing"),
        ("GET", "/api/now/table/sys_user_has_role", {}, 400, "table.missing"),
        ("GET", "/api/now/table/keystead_session", {}, 400, "table.missing"),
        ("GET", "/api/now/table/sys_user", {}, 403, "authority.table"),
        ("GET", "/api/now/table/keystead_job", {}, 403, "authority.table"),
        ("GET", f"{PEOPLE}/nobody", {}, 404, "record.missing"),
        ("GET", PEOPLE, {"params": {"sysparm_query": "nothing=1"}}, 404, "column.missing"),
        ("GET", PEOPLE, {"params": {"sysparm_query": "name=x"}}, 400, "query.standard"),
        ("GET", PEOPLE, {"params": {"sysparm_query": "ORDERBYteam"}}, 400, "query.order"),
        ("GET", PEOPLE, {"params": {"sysparm_query": "teamLIKEx"}}, 400, "query.operator"),
        ("GET", PEOPLE, {"params": {"sysparm_limit": "many"}}, 400, "parameter.number"),
        ("GET", PEOPLE, {"params": {"sysparm_offset": "-1"}}, 400, "parameter.number"),
        ("POST", PEOPLE, {"content": b"not json", "type": JSON}, 400, "body.form"),
        ("POST", PEOPLE, {"content": b"\xff\xfe", "type": JSON}, 400, "body.form"),
        ("POST", PEOPLE, {"json": ["a"]}, 400, "body.form"),
        ("POST", PEOPLE, {"json": {"name": {"value": "x"}}}, 400, "body.form"),
        ("POST", PEOPLE, {"json": {"nothing": "x"}}, 404, "column.missing"),
        ("POST", PEOPLE, {"json": {"id": "p01"}}, 409, "record.refused"),
        ("PATCH", f"{PEOPLE}/p01", {"json": {"salary": "x"}}, 400, "value.number"),
        ("DELETE", f"{PEOPLE}/nobody", {}, 404, "record.missing"),
        ("GET", "/api/now/nothing", {}, 404, "http"),
        ("DELETE", PEOPLE, {}, 405, "http"),
    ],
)
def test_what_is_refused_changes_nothing(
    api: Api, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    before = api.site.stored()
    failed(api.call(method, path, "both", **options), status, code)
    assert api.site.stored() == before


# --- who calls ---


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_nobody_is_served_without_saying_who_he_is(api: Api) -> None:
    for headers in ({}, {"Authorization": "Digest x"}):
        answer = api.client.get(PEOPLE, headers=headers)
        failed(answer, 401, "login.needed")
        assert answer.headers["www-authenticate"].startswith("Basic")


@pytest.mark.parametrize(
    "given",
    [
        "Bearer",
        "Bearer kst_" + "x" * 43,
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"reader").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        basic(f"nobody:{PASSWORD}")["Authorization"],
        basic("reader:wrong")["Authorization"],
        basic("guest:")["Authorization"],
    ],
)
def test_what_proves_nobody_is_refused_alike(api: Api, given: str) -> None:
    with api.site.transaction() as tx:
        accounts.set_password(tx, api.site.integrity, "reader", PASSWORD, "test")
    failed(api.client.get(PEOPLE, headers={"Authorization": given}), 401, "login.refused")


def test_a_password_is_hashed_once_a_minute_and_a_new_one_counts_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api.site.transaction() as tx:
        accounts.set_password(tx, api.site.integrity, "reader", PASSWORD, "test")
    calls: list[str] = []
    real = password.is_right

    def counted(given: str, stored: str) -> bool:
        calls.append(given)
        return real(given, stored)

    monkeypatch.setattr(password, "is_right", counted)
    for _ in range(3):
        assert api.client.get(PEOPLE, headers=basic(f"reader:{PASSWORD}")).status_code == 200
    assert len(calls) == 1
    with api.site.transaction() as tx:
        accounts.set_password(tx, api.site.integrity, "reader", "another long one", "test")
    failed(api.client.get(PEOPLE, headers=basic(f"reader:{PASSWORD}")), 401, "login.refused")
    assert api.client.get(PEOPLE, headers=basic("reader:another long one")).status_code == 200


def test_a_token_ends(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api.call("GET", PEOPLE, "guest").status_code == 200
    with api.site.transaction() as tx:
        accounts.end_token(tx, api.site.integrity, "guest", "t", "test")
    failed(api.call("GET", PEOPLE, "guest"), 401, "login.refused")
    later = clock.after(2 * 24 * 3600)
    monkeypatch.setattr(clock, "now", lambda: later)
    failed(api.call("GET", PEOPLE, "reader"), 401, "login.refused")


def test_who_fails_too_often_is_told_how_long_to_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password, "is_right", lambda _given, _stored: False)
    monkeypatch.setattr(api.door.log_in._attempts, "_clock", lambda: 0.0)
    for _ in range(5):
        failed(api.client.get(PEOPLE, headers=basic("reader:wrong")), 401, "login.refused")
    answer = api.client.get(PEOPLE, headers=basic("Reader:wrong"))
    failed(answer, 429, "login.too_often")
    assert answer.headers["retry-after"] == "1"
    assert "www-authenticate" not in answer.headers
    assert api.call("GET", PEOPLE).status_code == 200


def test_neither_password_nor_token_is_in_the_database(api: Api) -> None:
    with api.site.transaction() as tx:
        accounts.set_password(tx, api.site.integrity, "reader", PASSWORD, "test")
    stored = api.site.on_disk()
    assert PASSWORD.encode() not in stored
    assert all(token.encode() not in stored for token in api.tokens.values())


def counted(api: Api, user: str = "reader", **parameters: str) -> Any:
    path = "/api/now/stats/people"
    return api.call("GET", path, user, params={"sysparm_count": "true", **parameters})


def test_records_are_counted(api: Api) -> None:
    answer = counted(api, sysparm_query="team=north")
    assert answer.json() == {"result": {"stats": {"count": "3"}}}
    failed(counted(api, "writer", sysparm_query="team=north"), 403, "query.denied")


def test_records_are_counted_by_what_the_caller_may_see(api: Api) -> None:
    found = counted(api, sysparm_group_by="team", sysparm_query="id<p05").json()["result"]
    assert [(one["groupby_fields"], one["stats"]["count"]) for one in found] == [
        ([{"field": "team", "value": team}], "1") for team in ("North", "north", "north ", "北")
    ]
    assert len(counted(api, "guest", sysparm_group_by="note").json()["result"]) == 12
    for user in ("guest", "writer"):
        failed(counted(api, user, sysparm_group_by="team"), 403, "query.denied")
    failed(counted(api, sysparm_group_by="nothing"), 404, "column.missing")
    api.recorder.flush()
    (detail,) = api.site.sql(
        "SELECT detail FROM keystead_audit WHERE action = 'table.show' AND detail LIKE '%opened%'"
    )
    assert '"searched": "team"' in detail[0]


def test_the_character_nul_is_refused_wherever_it_comes(api: Api) -> None:
    for method, path, options in (
        ("GET", f"{PEOPLE}?sysparm_query=id=%00", {}),
        ("GET", "/api/now/table/peo%00ple", {}),
        ("GET", f"{PEOPLE}/p%0001", {}),
        ("POST", PEOPLE, {"json": {"note": "a\0b"}}),
        ("POST", PEOPLE, {"json": {"id": "a\0b"}}),
        ("PATCH", f"{PEOPLE}/p01", {"json": {"note": "a\0b"}}),
    ):
        failed(api.call(method, path, "both", **options), 400, "text.nul")
    failed(api.client.get(PEOPLE, headers=basic("a\0b:secret")), 401, "login.refused")


def test_a_batch_asks_as_its_caller_and_each_by_itself(api: Api) -> None:
    def inner(name: str, method: str, path: str, body: str = "") -> dict[str, Any]:
        headers = [{"name": "Content-Type", "value": JSON}, {"name": "authorization", "value": "x"}]
        given = base64.b64encode(body.encode()).decode()
        return {"id": name, "method": method, "url": path, "headers": headers, "body": given}

    requests = [
        inner("a", "PATCH", f"{PEOPLE}/p01", '{"team": "west"}'),
        inner("b", "PATCH", f"{PEOPLE}/p01", '{"nothing": ""}'),
        inner("c", "GET", f"{PEOPLE}?sysparm_query=team=west&sysparm_fields=id"),
        inner("d", "DELETE", f"{PEOPLE}/p02"),
        inner("e", "GET", "/api/keystead/v1/keys"),
        inner("f", "POST", "/api/now/batch", "{}"),
        inner("g", "GET", "/health?/api/now/table/people"),
        inner("h", "GET", f"{PEOPLE}/../../../../health"),
    ]
    body = {"batch_request_id": 7, "rest_requests": requests}
    answer = api.call("POST", "/api/now/v1/batch", "both", json=body)
    assert (answer.status_code, answer.json()["batch_request_id"]) == (200, "7")
    served = {one["id"]: one for one in answer.json()["serviced_requests"]}
    statuses = {name: one["status_code"] for name, one in served.items()}
    assert statuses == dict(zip("abcdefgh", (200, 404, 200, 204, 400, 400, 400, 404), strict=True))
    assert base64.b64decode(served["c"]["body"]) == b'{"result":[{"id":"p01"}]}'
    refused = api.call("POST", "/api/now/batch", "guest", json=body).json()["serviced_requests"]
    assert [one["status_code"] for one in refused[:1]] == [403]


def test_a_batch_ends_where_its_answers_are_too_large(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "MOST_ANSWERED", 1)
    one = {"method": "GET", "url": f"{PEOPLE}?sysparm_limit=1"}
    gone = {"id": "c", "method": "DELETE", "url": f"{PEOPLE}/p02"}
    body = {"batch_request_id": 1, "rest_requests": [{**one, "id": "a"}, {**one, "id": "b"}, gone]}
    answer = api.call("POST", "/api/now/batch", "both", json=body).json()
    assert [one["id"] for one in answer["serviced_requests"]] == ["a"]
    assert answer["unserviced_requests"] == ["b", "c"]
    assert api.call("GET", f"{PEOPLE}/p02", "both").status_code == 200


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"batch_request_id": 1, "rest_requests": [{"id": 1}]}', b"\xff"]
)
def test_a_batch_that_is_none(api: Api, body: bytes) -> None:
    failed(api.call("POST", "/api/now/batch", content=body, type=JSON), 400, "batch.form")
    failed(api.call("POST", "/api/now/batch", None, content=body, type=JSON), 401, "login.needed")
