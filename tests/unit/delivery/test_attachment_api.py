"""The Attachment API as a client sees it: shapes, statuses, streams, and who may do what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import pytest
from litestar.testing import TestClient

from keystead.access import accounts
from keystead.access.recorder import Recorder
from keystead.attachments.contents import BATCH
from keystead.attachments.service import clear
from keystead.delivery.api import attachments, tables
from keystead.delivery.api.administration import Administration
from keystead.delivery.api.declared import OwnTables
from keystead.delivery.api.log_in import Door
from keystead.delivery.api.peers import application
from keystead.exchange.identity import own_identity
from keystead.fields import service as fields
from keystead.records.session import Records

ROOT = "/api/now/attachment"
CONTENT = bytes(range(256)) * 3_000
NAME = "Zoë's Ärzte.pdf"


class Api:
    def __init__(self, site: Any, limit: int = 2) -> None:
        self.site = site
        identity = own_identity(site.hierarchy, "prod", site.instance.certificate)
        self.recorder = recorder = Recorder(site.database)
        door = Door(site.database, site.integrity, recorder)
        own = OwnTables(Administration(site.instance, None, door))
        routers = [
            *tables.routes(Records(site.database, site.hierarchy, recorder), own, door),
            *attachments.routes(site.database, site.hierarchy, recorder, door, limit),
        ]
        self.client = TestClient(application(identity, lambda frame: frame, routers))
        with site.transaction() as tx:
            self.tokens = {
                user: accounts.make_token(tx, site.integrity, user, "t", 1, "test")
                for user in ("reader", "both", "writer", "guest")
            }

    def call(self, method: str, path: str, user: str | None = "both", **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.tokens[user]}"} if user else {}
        headers.update(options.pop("headers", {}))
        return self.client.request(method, path, headers=headers, **options)

    def add(
        self, content: Any = CONTENT, user: str = "both", record: str = "p01", name: str = NAME
    ) -> Any:
        return self.call(
            "POST",
            f"{ROOT}/file",
            user,
            params={"table_name": "people", "table_sys_id": record, "file_name": name},
            headers={"Content-Type": "application/pdf"},
            content=content,
        )

    def listed(self, query: str = "", user: str = "both", **parameters: str) -> Any:
        return self.call("GET", ROOT, user, params={"sysparm_query": query, **parameters})

    def refusals(self) -> list[tuple[Any, ...]]:
        self.recorder.flush()
        return self.site.sql("SELECT caller, operation FROM keystead_module_key_rejection")

    def left(self) -> list[int]:
        """How many rows of attachments and of pieces stay."""
        clear(self.site.database)
        return [
            self.site.sql(f"SELECT count(*) FROM {name}")[0][0]
            for name in ("sys_attachment", "sys_attachment_doc")
        ]


@pytest.fixture
def api(sealed: Any) -> Iterator[Api]:
    made = Api(sealed)
    with sealed.transaction() as tx:
        fields.configure_attachments(
            tx,
            sealed.database,
            sealed.hierarchy,
            table="people",
            module="standard",
            actor="test",
        )
    with made.client, made.recorder:
        yield made


@pytest.fixture
def plain(sealed: Any) -> Iterator[Api]:
    made = Api(sealed)
    with made.client, made.recorder:
        yield made


def failed(answer: Any, status: int, code: str) -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert (body["status"], body["error"]["code"]) == ("failure", code)


@pytest.mark.parametrize("size", [0, 1, 70_000, BATCH - 1, BATCH])
def test_what_goes_in_comes_out(api: Api, size: int) -> None:
    content = (CONTENT * 3)[:size]
    made = api.add(content)
    assert made.status_code == 201, made.text
    record = made.json()["result"]
    assert made.headers["location"].endswith(f"/api/now/v1/attachment/{record['sys_id']}/file")
    assert record | {"sys_id": "", "sys_created_on": "", "download_link": ""} == {
        "sys_id": "",
        "table_name": "people",
        "table_sys_id": "p01",
        "file_name": NAME,
        "content_type": "application/pdf",
        "size_bytes": str(size),
        "hash": hashlib.sha256(content).hexdigest(),
        "encrypted": "true",
        "sys_created_by": "both",
        "sys_created_on": "",
        "download_link": "",
    }
    answer = api.call("GET", f"{ROOT}/{record['sys_id']}/file", "reader")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-length"] == str(size)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].endswith("''Zo%C3%AB%27s%20%C3%84rzte.pdf")
    assert api.call("GET", f"{ROOT}/{record['sys_id']}").json()["result"] == record


def test_neither_content_nor_name_is_in_the_database(api: Api) -> None:
    marked = b"nobody else may read this " * 9_000
    assert api.add(marked, name="diagnosis.txt").status_code == 201
    stored = api.site.on_disk()
    assert marked[:26] not in stored
    assert b"diagnosis" not in stored
    assert hashlib.sha256(marked).hexdigest().encode() not in stored


def test_who_may_not_encrypt_cannot_add_and_that_is_on_record(api: Api) -> None:
    failed(api.add(user="reader"), 403, "attachment.write_denied")
    assert api.left() == [0, 0]
    assert ("user:reader", "encrypt") in api.refusals()
    assert api.add(user="writer").status_code == 201


def test_who_may_not_decrypt_sees_that_there_is_one_and_no_more(api: Api) -> None:
    sys_id = api.add().json()["result"]["sys_id"]
    for user in ("writer", "guest"):
        failed(api.call("GET", f"{ROOT}/{sys_id}/file", user), 403, "attachment.denied")
        assert (f"user:{user}", "decrypt") in api.refusals()
        (record,) = api.listed(user=user).json()["result"]
        assert record["sys_id"] == sys_id
        assert (record["file_name"], record["content_type"], record["hash"]) == ("", "", "")


def test_nobody_is_let_in(api: Api) -> None:
    sys_id = api.add().json()["result"]["sys_id"]
    for method, path in (
        ("GET", ROOT),
        ("GET", f"{ROOT}/{sys_id}"),
        ("GET", f"{ROOT}/{sys_id}/file"),
        ("DELETE", f"{ROOT}/{sys_id}"),
        ("POST", f"{ROOT}/file"),
        ("POST", f"{ROOT}/upload"),
    ):
        failed(api.call(method, path, None), 401, "login.needed")
    assert api.listed().headers["x-total-count"] == "1"


def test_a_list_is_narrowed_and_paged(api: Api) -> None:
    ids = [api.add(b"x", record=r).json()["result"]["sys_id"] for r in ("p01", "p02", "p02")]
    assert [r["sys_id"] for r in api.listed().json()["result"]] == ids
    found = api.listed("table_name=people^table_sys_id=p02")
    assert [r["sys_id"] for r in found.json()["result"]] == ids[1:]
    assert api.listed("table_sys_idINp01,p03").headers["x-total-count"] == "1"
    assert api.listed("table_name=other").json()["result"] == []
    page = api.listed(sysparm_limit="2", sysparm_offset="2")
    assert ([r["sys_id"] for r in page.json()["result"]], page.headers["x-total-count"]) == (
        ids[2:],
        "3",
    )
    assert 'rel="prev"' in page.headers["link"]
    shown = api.listed(sysparm_display_value="all").json()["result"][0]["file_name"]
    assert shown == {"display_value": NAME, "value": NAME}


@pytest.mark.parametrize(
    "query",
    ["file_name=x", "table_nameLIKEpeo", "table_name=a^ORtable_name=b", "ORDERBYDESCsys_id"],
)
def test_other_queries_are_refused(api: Api, query: str) -> None:
    failed(api.listed(query), 400, "attachment.query")


def test_a_removed_one_is_gone(api: Api) -> None:
    sys_id = api.add().json()["result"]["sys_id"]
    assert api.call("DELETE", f"{ROOT}/{sys_id}").status_code == 204
    for method, path in (("GET", ""), ("GET", "/file"), ("DELETE", "")):
        failed(api.call(method, f"{ROOT}/{sys_id}{path}"), 404, "attachment.missing")
    assert api.left() == [0, 0]


def test_a_removed_record_takes_its_attachments_along(api: Api) -> None:
    api.add()
    kept = api.add(record="p02").json()["result"]["sys_id"]
    assert api.call("DELETE", "/api/now/table/people/p01").status_code == 204
    assert [r["sys_id"] for r in api.listed().json()["result"]] == [kept]
    assert api.left() == [1, 3]


def test_a_record_with_a_new_key_keeps_its_attachments(api: Api) -> None:
    sys_id = api.add().json()["result"]["sys_id"]
    assert api.call("PATCH", "/api/now/table/people/p01", json={"id": "q01"}).status_code == 200
    (record,) = api.listed("table_sys_id=q01").json()["result"]
    assert (record["sys_id"], record["file_name"]) == (sys_id, NAME)
    assert api.call("GET", f"{ROOT}/{sys_id}/file").content == CONTENT


def test_too_large_a_file_is_refused_whether_its_size_is_told_or_not(api: Api) -> None:
    large = bytes(2 * 1024 * 1024 + 1)
    failed(api.add(large), 413, "attachment.too_large")
    failed(api.add(iter([large[:1_500_000], large[1_500_000:]])), 413, "attachment.too_large")
    assert api.left() == [0, 0]
    assert api.add(large[1:]).status_code == 201


@pytest.mark.parametrize(
    ("parameters", "status", "code"),
    [
        ({"table_name": "nothing"}, 400, "table.missing"),
        ({"table_name": "sys_user"}, 400, "table.missing"),
        ({"table_sys_id": "p99"}, 404, "record.missing"),
        ({"file_name": ""}, 400, "attachment.name"),
        ({"file_name": "../x"}, 400, "attachment.name"),
        ({"file_name": ".."}, 400, "attachment.name"),
        ({"file_name": "a\nb"}, 400, "attachment.name"),
        ({"file_name": "x" * 256}, 400, "attachment.name"),
    ],
)
def test_what_cannot_be_attached(
    api: Api, parameters: dict[str, str], status: int, code: str
) -> None:
    whole = {"table_name": "people", "table_sys_id": "p01", "file_name": "x", **parameters}
    failed(api.call("POST", f"{ROOT}/file", params=whole, content=b"x"), status, code)
    assert api.left() == [0, 0]


def test_a_body_that_is_cut_short_leaves_nothing(api: Api) -> None:
    whole = {"table_name": "people", "table_sys_id": "p01", "file_name": "x"}
    headers = {"Content-Length": "9000000"}
    answer = api.call("POST", f"{ROOT}/file", params=whole, content=b"x" * 9, headers=headers)
    assert answer.status_code in (400, 413)
    assert api.left() == [0, 0]


FORM = {"table_name": "people", "table_sys_id": "p01"}


def test_a_form_brings_a_file(api: Api) -> None:
    made = api.call(
        "POST", f"{ROOT}/upload", data=FORM, files={"uploadFile": (NAME, CONTENT, "text/plain")}
    )
    assert made.status_code == 201, made.text
    record = made.json()["result"]
    assert (record["file_name"], record["content_type"]) == (NAME, "text/plain")
    assert api.call("GET", f"{ROOT}/{record['sys_id']}/file").content == CONTENT


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    return b"".join(b"--b\r\nContent-Disposition: form-data; " + part for part in parts) + end


FIELDS = (b'name="table_name"\r\n\r\npeople\r\n', b'name="table_sys_id"\r\n\r\np01\r\n')
FILE = b'name="f"; filename="x"\r\n\r\nabc\r\n'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (form(*FIELDS, FILE), 201),
        (form(*FIELDS), 400),
        (form(*FIELDS, FILE, FILE), 400),
        (form(*FIELDS, FILE, end=b""), 400),
        (form(*FIELDS, FILE)[:-9], 400),
        (form(FILE, *FIELDS), 400),
        (form(FIELDS[0], b'name="table_sys_id"\r\n\r\n' + b"p" * 5000 + b"\r\n", FILE), 400),
        (b"", 400),
        (b"nonsense", 400),
    ],
)
def test_forms(api: Api, body: bytes, status: int) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = api.call("POST", f"{ROOT}/upload", content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert api.left() == ([1, 1] if status == 201 else [0, 0])


def test_something_else_is_no_form(api: Api) -> None:
    answer = api.call("POST", f"{ROOT}/upload", content=b"x", headers={"Content-Type": "text/css"})
    failed(answer, 400, "attachment.body")


def test_without_a_configuration_they_are_plain_for_everybody(plain: Api) -> None:
    made = plain.add(user="guest").json()["result"]
    assert made["encrypted"] == "false"
    assert plain.call("GET", f"{ROOT}/{made['sys_id']}/file", "writer").content == CONTENT
    assert plain.call("GET", f"{ROOT}/{made['sys_id']}").json()["result"]["file_name"] == NAME
    assert plain.refusals() == []


def test_what_is_not_as_it_was_written_is_refused_before_a_byte_is_sent(api: Api) -> None:
    sys_id = api.add().json()["result"]["sys_id"]
    api.site.sql("UPDATE sys_attachment_doc SET data = zeroblob(length(data)) WHERE position = 0")
    failed(api.call("GET", f"{ROOT}/{sys_id}/file"), 500, "attachment.tampered")


@pytest.mark.parametrize("said", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://a.b"}])
def test_a_form_of_another_site_brings_nothing(api: Api, said: dict[str, str]) -> None:
    files = {"uploadFile": (NAME, CONTENT, "text/plain")}
    answer = api.call("POST", f"{ROOT}/upload", data=FORM, files=files, headers=said)
    failed(answer, 403, "request.foreign")
    sys_id = api.add().json()["result"]["sys_id"]
    failed(api.call("DELETE", f"{ROOT}/{sys_id}", headers=said), 403, "request.foreign")
    assert api.left()[0] == 1
