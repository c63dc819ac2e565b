"""The OpenAPI 3.1 document of all that users call, made from what is declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from litestar import Response, Router, get

from keystead import __version__
from keystead.delivery.api import openapi_now
from keystead.delivery.api.administration import PARAMETERS as RESERVED
from keystead.delivery.api.administration import ROOT
from keystead.delivery.api.batch import Answer, Batch
from keystead.delivery.api.openapi_parts import (
    HEADERS,
    JSON,
    PARAMETERS,
    REFUSAL,
    SCHEMAS,
    Schema,
    answers,
    array,
    body,
    named,
    ref,
    refusals,
    result,
)
from keystead.dictionary.finding import SYS_ID
from keystead.dictionary.model import Field, Kind, Nothing, Operation, Outcome, Table
from keystead.dictionary.registry import BY_PATH, OPERATIONS

PATH: Final = f"{ROOT}/openapi.json"
_TYPES: Final[Mapping[Kind, Schema]] = {
    Kind.NUMBER: {"type": ["number", "null"]},
    Kind.YES_NO: {"type": ["boolean", "null"]},
    Kind.MOMENT: {"type": ["string", "null"], "format": "date-time"},
}
_OTHERWISE: Final[Schema] = {"type": ["string", "null"]}

Bodies = Mapping[type[msgspec.Struct], Schema]


def routes() -> Router:
    """Where the document is; it tells nothing of this instance, so everybody may read it."""
    document = msgspec.json.encode(described())

    @get(PATH, sync_to_thread=False)
    def openapi() -> Response[bytes]:
        return Response(document, media_type=JSON)

    return Router("/", route_handlers=[openapi])


def described() -> Schema:
    """The document."""
    structs = list(dict.fromkeys(o.parameters for o in OPERATIONS.values()))
    others = (Outcome, Batch, Answer)
    refs, schemas = msgspec.json.schema_components(
        (*structs, *others), ref_template=SCHEMAS + "{name}"
    )
    bodies = dict(zip(structs, refs, strict=False))
    paths = dict(openapi_now.PATHS)
    for table in BY_PATH.values():
        paths |= _paths(table, bodies)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keystead",
            "version": __version__,
            "description": "What people administer, and the records of an instance.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"password": []}, {"token": []}],
        "paths": paths | {PATH: _OF_THIS},
        "components": {
            "schemas": {
                **schemas,
                **{table.name: _row(table) for table in BY_PATH.values()},
                **openapi_now.SCHEMAS,
                "Refusal": REFUSAL,
            },
            "responses": refusals(),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {
                "password": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _paths(table: Table, bodies: Bodies) -> dict[str, Schema]:
    base, row = f"{ROOT}/{table.path}", ref(table.name)
    listing: Schema = {
        "get": {
            "operationId": f"{table.path}.list",
            "summary": table.plural,
            "description": table.summary,
            "tags": [table.plural],
            "parameters": [*named(*RESERVED), *map(_filter, table.fields)],
            "responses": answers(200, result(array(row)), "X-Total-Count", "Link"),
        }
    }
    if table.create is not None:
        listing["post"] = _operation(table, table.create, bodies, 201)
    one: Schema = {
        "parameters": named("sys_id"),
        "get": {
            "operationId": f"{table.path}.get",
            "summary": table.label,
            "tags": [table.plural],
            "responses": answers(200, result(row)),
        },
    }
    paths = {base: listing, f"{base}/{{sys_id}}": one}
    for operation in table.actions:
        paths[f"{base}/{operation.verb}"] = {"post": _operation(table, operation, bodies, 200)}
    for operation in table.operations:
        paths[f"{base}/{{sys_id}}/{operation.verb}"] = {
            "parameters": named("sys_id"),
            "post": _operation(table, operation, bodies, 200),
        }
    return paths


def _operation(table: Table, operation: Operation, bodies: Bodies, status: int) -> Schema:
    headers = ("Location",) if status == 201 else ()
    told: Schema = {
        "operationId": operation.name,
        "summary": operation.label,
        "description": " ".join(filter(None, (operation.summary, operation.danger))),
        "tags": [table.plural],
        "parameters": named("elevate"),
        "responses": answers(status, result(ref(Outcome.__name__)), *headers),
    }
    if operation.parameters is not Nothing:
        told["requestBody"] = body(bodies[operation.parameters])
    return told


def _filter(field: Field) -> Schema:
    said = f"Only rows of this {field.label.lower()}"
    return {"name": field.name, "in": "query", "description": said, "schema": {"type": "string"}}


def _row(table: Table) -> Schema:
    fields = {field.name: _property(field) for field in table.fields}
    return {
        "type": "object",
        "title": table.label,
        "description": table.summary,
        "required": [SYS_ID, *fields],
        "properties": {SYS_ID: {"type": "string"}, **fields},
        "additionalProperties": False,
    }


def _property(field: Field) -> Schema:
    said = {"description": field.help} if field.help else {}
    return {"title": field.label, **said, **_TYPES.get(field.kind, _OTHERWISE)}


_OF_THIS: Final[Schema] = {
    "get": {
        "operationId": "openapi",
        "summary": "This document",
        "security": [],
        "responses": {
            "200": {"description": "The document", "content": {JSON: {"schema": {}}}},
        },
    }
}
