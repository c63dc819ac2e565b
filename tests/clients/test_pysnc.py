"""`pysnc`, unchanged, against a served instance: paging, records, many at once, attachments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pysnc import ServiceNowClient
from pysnc.exceptions import AuthenticationException, RequestException, RoleException
from tests.cli.conftest import make, ok, serving

ROWS = 20_000
CITIES = ("Oslo", "Köln", "北京", "São Paulo")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pysnc")
    file = folder / "people.csv"
    lines = [f"{n:032x},person {n},{CITIES[n % 4]},{n}" for n in range(ROWS, 0, -1)]
    file.write_text("\n".join(["sys_id,name,city,rank", *lines]), encoding="utf-8")
    home = make(folder / "prod")
    ok("load", home, "people", file, "--key", "sys_id")
    ok("module", "create", home, "eq", "--equality", "--publish")
    ok("field", "add", home, "people", "city", "--module", "eq")
    ok("policy", "add", home, "--module", "eq", "--role", "support")
    auditor = "sn_kmf.cryptographic_auditor"
    ok("user", "add", home, "ada", "--role", "support", "--role", auditor)
    ok("user", "add", home, "bob")
    with serving(home):
        yield home


def token(home: Path, user: str) -> str:
    return str(ok("user", "token", "make", home, user, "--name", user, "--days", 1)["token"])


def client_of(home: Path, token: str) -> ServiceNowClient:
    session = requests.Session()
    session.trust_env = False  # else a bundle that the environment names is taken for ours
    session.headers["Authorization"] = f"Bearer {token}"
    url = ok("peer", "identity", home)["url"]
    return ServiceNowClient(url, session, verify=str(home / "tls.crt"))


@pytest.fixture(scope="module")
def client(home: Path) -> ServiceNowClient:
    return client_of(home, token(home, "ada"))


def test_a_table_is_paged_through_completely_and_in_order(client: ServiceNowClient) -> None:
    people = client.GlideRecord("people", batch_size=2_000)
    people.query()
    assert len(people) == ROWS
    seen = [(str(p.sys_id), str(p.get_value("city")), str(p.get_value("rank"))) for p in people]
    assert seen == [(f"{n:032x}", CITIES[n % 4], str(n)) for n in range(1, ROWS + 1)]


def test_a_query_sorts_filters_and_limits(client: ServiceNowClient) -> None:
    people = client.GlideRecord("people")
    people.add_query("city", "北京")
    people.add_query("rank", "<", 100)
    people.order_by_desc("rank")
    people.limit = 3
    people.query()
    assert [int(p.get_value("rank")) for p in people] == [98, 94, 90]


def test_a_record_is_made_read_changed_and_removed(client: ServiceNowClient) -> None:
    person = client.GlideRecord("people")
    person.initialize()
    person.name, person.city, person.rank = "Zoë", "Malmö", 0
    key = str(person.insert())
    found = client.GlideRecord("people")
    assert found.get(key)
    assert (found.get_value("city"), found.get_display_value("name")) == ("Malmö", "Zoë")
    found.city = "Lund"
    assert found.update()
    assert client.GlideRecord("people").get("city", "Lund")
    assert found.delete()
    assert not client.GlideRecord("people").get(key)


def test_many_are_changed_and_removed_in_a_batch(client: ServiceNowClient) -> None:
    for number in range(5):
        person = client.GlideRecord("people")
        person.initialize()
        person.name, person.city = f"batch {number}", "Batch"
        person.insert()
    people = client.GlideRecord("people")
    people.add_query("city", "Batch")
    people.query()
    for person in people:
        person.name = "changed"
    assert people.update_multiple()
    people = client.GlideRecord("people")
    people.add_query("name", "changed")
    people.query()
    assert len(people) == 5
    assert people.delete_multiple()
    assert not client.GlideRecord("people").get("city", "Batch")


def test_a_long_query_comes_in_a_batch(client: ServiceNowClient) -> None:
    people = client.GlideRecord("people")
    people.add_query("sys_id", "IN", ",".join(f"{n:032x}" for n in range(1, 401)))
    people.query()
    assert [int(p.get_value("rank")) for p in people] == list(range(1, 401))


def test_files_of_a_record(client: ServiceNowClient, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2_000
    person = client.GlideRecord("people")
    assert person.get(f"{7:032x}")
    link = person.add_attachment("Zoë.bin", content)
    found = person.get_attachments()
    assert len(found) == 1
    for attachment in found:
        assert link.endswith(f"/api/now/v1/attachment/{attachment.sys_id}/file")
        assert str(attachment.file_name) == "Zoë.bin"
        assert attachment.read() == content
        assert attachment.write_to(tmp_path).read_bytes() == content
        attachment.delete()
    assert len(person.get_attachments()) == 0


def test_own_tables_are_read_and_not_written(client: ServiceNowClient) -> None:
    keys = client.GlideRecord("sys_kmf_module_key")
    keys.add_query("state", "active")
    keys.query()
    assert [key.get_display_value("module_id") for key in keys] == ["global.eq"]
    assert keys.get(keys.get_value("sys_id"))
    keys.state = "destroyed"
    with pytest.raises(RoleException):
        keys.update()


def test_what_is_refused_is_said_as_the_client_expects(
    home: Path, client: ServiceNowClient
) -> None:
    with pytest.raises(RequestException):
        client.GlideRecord("nothing").query()
    with pytest.raises(AuthenticationException):
        client_of(home, "kst_nobody").GlideRecord("people").query()
    stranger = client_of(home, token(home, "bob")).GlideRecord("people")
    assert stranger.get(f"{7:032x}")
    assert stranger.get_value("city") == ""
    stranger.add_query("city", "Oslo")
    with pytest.raises(RoleException):
        stranger.query()
