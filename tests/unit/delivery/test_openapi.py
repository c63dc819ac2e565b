"""The OpenAPI document, and requests made up from it: each is answered as the document says."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from litestar import Litestar
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.python import asgi
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from keystead.access import accounts, people
from keystead.access.recorder import Recorder
from keystead.access.roles import CATALOGUE
from keystead.base.errors import Unavailable
from keystead.delivery.api import openapi
from keystead.delivery.api.administration import PARAMETERS as RESERVED
from keystead.delivery.api.administration import ROOT
from keystead.delivery.api.peers import application
from keystead.delivery.api.routing import routers
from keystead.dictionary.registry import BY_PATH, OPERATIONS
from keystead.exchange.identity import own_identity
from keystead.records.session import Records

PASSWORD = "correct horse battery"
EXAMPLES = 3
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT = openapi.described()


class NoPeers:
    """No peer is there."""

    def send(self, *_arguments: Any) -> dict[str, Any]:
        raise Unavailable("peer.unreachable", peer="any", reason="nobody is there")

    identity = send


class World:
    """The application, a user who may do everything, and what there is."""

    def __init__(self, site: Any) -> None:
        site.rotate("standard")
        with site.transaction() as tx:
            people.create_user(tx, site.integrity, "chief", ["all", *CATALOGUE], "test")
            accounts.set_password(tx, site.integrity, "chief", PASSWORD, "test")
        self.recorder = Recorder(site.database)
        records = Records(site.database, site.hierarchy, self.recorder)
        identity = own_identity(site.hierarchy, "prod", site.instance.certificate)
        paths = routers(site.instance, NoPeers(), records, self.recorder)
        self.app: Litestar = application(identity, lambda frame: frame, paths)
        given = base64.b64encode(f"chief:{PASSWORD}".encode()).decode()
        self.headers = {"Authorization": f"Basic {given}"}
        self.tables = ["people", *(table.name for table in BY_PATH.values())]

    def ids(self, client: Any, path: str) -> list[str]:
        """The ids of what a path is about."""
        if not path.startswith(ROOT):
            return ["p01", "p02"]
        listed = client.get("/".join(path.split("/")[:5]), headers=self.headers).json()
        return [row["sys_id"] for row in listed.get("result", [])]


@pytest.fixture
def world(sealed: Any) -> Iterator[World]:
    made = World(sealed)
    with made.recorder:
        yield made


def test_every_operation_and_table_is_in_the_document() -> None:
    told = {
        one["operationId"]: path
        for path, methods in DOCUMENT["paths"].items()
        for method, one in methods.items()
        if method != "parameters"
    }
    assert set(OPERATIONS) <= set(told)
    for path, table in BY_PATH.items():
        assert (told[f"{path}.list"], told[f"{path}.get"]) == (
            f"{ROOT}/{path}",
            f"{ROOT}/{path}/{{sys_id}}",
        )
        assert set(DOCUMENT["components"]["schemas"][table.name]["properties"]) == {
            "sys_id",
            *(field.name for field in table.fields),
        }
        assert not {field.name for field in table.fields} & {*RESERVED, "sys_id"}
    ids = [one for methods in DOCUMENT["paths"].values() for m, one in methods.items()]
    assert len(told) == sum("operationId" in one for one in ids if isinstance(one, dict))


def test_every_path_in_it_is_served_and_every_reference_resolves(world: World) -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    with asgi.get_client(world.app) as client:
        served = client.get(openapi.PATH)
        assert (served.status_code, served.json()) == (200, DOCUMENT)
        for path, methods in DOCUMENT["paths"].items():
            for method in set(methods) - {"parameters"}:
                answer = client.request(method, path.replace("{sys_id}", "x"))
                expected = 200 if path == openapi.PATH else 401
                assert answer.status_code == expected, (method, path)


@pytest.mark.parametrize("is_own", [True, False])
def test_whatever_is_asked_is_answered_as_the_document_says(world: World, is_own: bool) -> None:
    document = schemathesis.openapi.from_asgi(openapi.PATH, world.app)
    every = [found.ok() for found in document.get_all_operations()]
    operations = [one for one in every if one.path.startswith(ROOT) == is_own]
    assert operations
    statuses: set[int] = set()
    with asgi.get_client(world.app) as client:
        for operation in operations:
            if operation.path != openapi.PATH:
                statuses |= asked(world, client, operation)
    assert {200, 400} <= statuses


def is_alike(operation: Any) -> bool:
    """Whether one route answers it for every table alike."""
    return operation.method == "get" and operation.path.startswith(ROOT)


def asked(world: World, client: Any, operation: Any) -> set[int]:
    statuses: set[int] = set()
    ids = world.ids(client, operation.path) if "{sys_id}" in operation.path else []
    cases = st.one_of(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=GenerationMode.NEGATIVE),
    )

    @settings(
        max_examples=1 if is_alike(operation) else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases, st.data())
    def ask(case: Any, data: st.DataObject) -> None:
        if ids:
            case.path_parameters["sys_id"] = data.draw(st.sampled_from(ids))
        if "table" in case.path_parameters:
            case.path_parameters["table"] = data.draw(st.sampled_from(world.tables))
        answer = case.call(session=client, headers=world.headers)
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)

    ask()
    return statuses
