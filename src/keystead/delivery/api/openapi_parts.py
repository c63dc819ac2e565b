"""What the parts of the OpenAPI document have in common: parameters, answers, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keystead.access.roles import SECURITY
from keystead.delivery.api.administration import MOST_ROWS, USUAL_ROWS
from keystead.delivery.api.log_in import ELEVATE
from keystead.delivery.api.tables import UNOPENED

Schema = dict[str, Any]

JSON: Final = "application/json"
SCHEMAS: Final = "#/components/schemas/"
STATUSES: Final[Mapping[int, str]] = {
    400: "What was given cannot be used",
    401: "Nobody is proved to call",
    403: "The caller may not do this",
    404: "There is no such thing",
    409: "It clashes with what exists or runs, or is not possible as things stand",
    413: "The body is too large",
    415: "The body is not said to be of a type that is taken",
    429: "Who calls, or whoever is at that address, failed to log in too often",
    500: "Something is not as Keystead wrote it, or nobody foresaw it",
    503: "It would work at another time",
}
_TEXT: Final = {"type": "string"}
_TRUE: Final = {"type": "string", "enum": ["true", "false"]}


def _in(where: str, name: str, said: str, schema: Schema) -> Schema:
    return {
        **{"name": name, "in": where, "description": said, "schema": schema},
        **({"required": True} if where == "path" else {}),
    }


def _number(most: int | None = None) -> Schema:
    return {"type": "integer", "minimum": 0, "maximum": most or 999_999_999}


PARAMETERS: Final[Mapping[str, Schema]] = {
    "sys_id": _in("path", "sys_id", "The id of the row", {**_TEXT, "minLength": 1}),
    "table": _in("path", "table", "A table's name", {**_TEXT, "minLength": 1}),
    "limit": _in(
        "query", "limit", f"At most so many rows; never more than {MOST_ROWS}",
        {**_number(), "default": USUAL_ROWS},
    ),
    "offset": _in("query", "offset", "How many rows to leave out first", _number()),
    "query": _in("query", "query", "An encoded query, as in state=active^ORDERBYname", _TEXT),
    "elevate": _in(
        "header", ELEVATE, "With a password: act with the rights of this role",
        {**_TEXT, "enum": [SECURITY]},
    ),
    "sysparm_limit": _in("query", "sysparm_limit", "At most so many records", _number()),
    "sysparm_offset": _in("query", "sysparm_offset", "How many to leave out first", _number()),
    "sysparm_query": _in("query", "sysparm_query", "An encoded query", _TEXT),
    "sysparm_fields": _in("query", "sysparm_fields", "Only these, joined with commas", _TEXT),
    "sysparm_display_value": _in(
        "query", "sysparm_display_value", "Values, what stands for them, or both",
        {**_TEXT, "enum": ["false", "true", "all"]},
    ),
    "sysparm_exclude_reference_link": _in(
        "query", "sysparm_exclude_reference_link", "References without links", _TRUE
    ),
    "sysparm_suppress_pagination_header": _in(
        "query", "sysparm_suppress_pagination_header", "No Link header", _TRUE
    ),
    "sysparm_no_count": _in("query", "sysparm_no_count", "No X-Total-Count header", _TRUE),
    "sysparm_count": _in("query", "sysparm_count", "Count", _TRUE),
    "sysparm_group_by": _in("query", "sysparm_group_by", "Count by these columns", _TEXT),
    "table_name": _in("query", "table_name", "The table of the record", _TEXT),
    "table_sys_id": _in("query", "table_sys_id", "The record", _TEXT),
    "file_name": _in("query", "file_name", "What the file is called", _TEXT),
}  # fmt: skip
HEADERS: Final[Mapping[str, Schema]] = {
    "X-Total-Count": {"description": "How many meet the query", "schema": {"type": "integer"}},
    UNOPENED: {
        "description": "How many values are empty since they cannot be opened now, if any are",
        "schema": {"type": "integer"},
    },
    "Link": {"description": "The first, previous, next and last page", "schema": _TEXT},
    "Location": {"description": "Where it is", "schema": _TEXT},
}
REFUSAL: Final[Schema] = {
    "type": "object",
    "description": "What happened, what to do, and a code that does not change.",
    "required": ["error", "status"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "detail", "code"],
            "properties": {
                "message": _TEXT,
                "detail": {"type": ["string", "null"]},
                "code": _TEXT,
            },
        },
        "status": {"const": "failure"},
    },
}


def refusals() -> Schema:
    """The answers of all operations that refuse, by status."""
    content = {JSON: {"schema": ref("Refusal")}}
    return {str(n): {"description": said, "content": content} for n, said in STATUSES.items()}


def named(*names: str) -> list[Schema]:
    """Parameters that are described once."""
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def ref(name: str) -> Schema:
    """A schema that is described once."""
    return {"$ref": SCHEMAS + name}


def result(schema: Schema) -> Schema:
    """An answer that holds something."""
    return {"type": "object", "required": ["result"], "properties": {"result": schema}}


def array(schema: Schema) -> Schema:
    """Several of something."""
    return {"type": "array", "items": schema}


def body(schema: Schema, *, kind: str = JSON, required: bool = True) -> Schema:
    """What is sent."""
    return {"required": required, "content": {kind: {"schema": schema}}}


def answers(status: int, schema: Schema | None, *headers: str, kind: str = JSON) -> Schema:
    """What an operation answers: when it did, and when it refused."""
    done: Schema = {"description": "Done" if schema is None else "What was asked for"}
    if schema is not None:
        done["content"] = {kind: {"schema": schema}}
    if headers:
        done["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
    refused = {str(n): {"$ref": f"#/components/responses/{n}"} for n in STATUSES}
    return {str(status): done, **refused}
