"""The Table, statistics, attachment and batch APIs in the OpenAPI document, unversioned paths."""

from __future__ import annotations

from typing import Final

from keystead.delivery.api.openapi_parts import Schema, answers, array, body, named, ref, result
from keystead.delivery.api.tables import UNOPENED

_TABLES: Final = "Records"
_ATTACHMENTS: Final = "Attachments"
_TEXT: Final = {"type": "string"}
_VALUE: Final = {
    "type": "object",
    "properties": {"display_value": _TEXT, "value": _TEXT, "link": _TEXT},
    "additionalProperties": False,
}
_RECORD: Final = {
    "type": "object",
    "description": "Every value is a text, or one beside what stands for it; NULL is empty.",
    "additionalProperties": {"anyOf": [_TEXT, _VALUE]},
}
_VALUES: Final = {
    "type": "object",
    "description": "Columns and their new values.",
    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
}
_STATS: Final = {
    "type": "object",
    "required": ["stats"],
    "properties": {
        "stats": {"type": "object", "properties": {"count": {**_TEXT, "pattern": "^[0-9]+$"}}},
        "groupby_fields": array(
            {
                "type": "object",
                "required": ["field", "value"],
                "properties": {"field": _TEXT, "value": _TEXT},
            }
        ),
    },
}
_ANSWER: Final = {
    "type": "object",
    "required": ["batch_request_id", "serviced_requests", "unserviced_requests"],
    "properties": {
        "batch_request_id": _TEXT,
        "serviced_requests": array(ref("Answer")),
        "unserviced_requests": array(_TEXT),
    },
}
SCHEMAS: Final[Schema] = {"Record": _RECORD, "Values": _VALUES, "Stats": _STATS}

_SHOWN: Final = ("sysparm_fields", "sysparm_display_value", "sysparm_exclude_reference_link")
_PAGED: Final = (
    *("sysparm_query", "sysparm_limit", "sysparm_offset"),
    *("sysparm_suppress_pagination_header", "sysparm_no_count"),
)


def _operation(name: str, said: str, tag: str, responses: Schema, **more: object) -> Schema:
    told = {"operationId": name, "summary": said, "tags": [tag], "responses": responses}
    return {**told, **more}


_ONE: Final = result(ref("Record"))
_MANY: Final = result(array(ref("Record")))
_FORM: Final = {
    "type": "object",
    "required": ["table_name", "table_sys_id", "uploadFile"],
    "properties": {
        "table_name": _TEXT,
        "table_sys_id": _TEXT,
        "uploadFile": {**_TEXT, "format": "binary"},
    },
}
_CHANGE: Final = {
    "parameters": named(*_SHOWN),
    "requestBody": body(ref("Values"), required=False),
}

PATHS: Final[Schema] = {
    "/api/now/table/{table}": {
        "parameters": named("table"),
        "get": _operation(
            "table.list", "Records that meet a query", _TABLES,
            answers(200, _MANY, "X-Total-Count", "Link", UNOPENED),
            parameters=named(*_PAGED, *_SHOWN),
        ),
        "post": _operation(
            "table.insert", "Make a record", _TABLES, answers(201, _ONE, "Location"), **_CHANGE
        ),
    },
    "/api/now/table/{table}/{sys_id}": {
        "parameters": named("table", "sys_id"),
        "get": _operation(
            "table.get", "One record", _TABLES, answers(200, _ONE, UNOPENED),
            parameters=named(*_SHOWN),
        ),
        "put": _operation(
            "table.put", "Change a record", _TABLES, answers(200, _ONE, UNOPENED), **_CHANGE
        ),
        "patch": _operation(
            "table.patch", "Change a record", _TABLES, answers(200, _ONE, UNOPENED), **_CHANGE
        ),
        "delete": _operation("table.delete", "Remove a record", _TABLES, answers(204, None)),
    },
    "/api/now/stats/{table}": {
        "parameters": named("table"),
        "get": _operation(
            "stats.count", "How many records meet a query, in all or by values", _TABLES,
            answers(200, result({"anyOf": [ref("Stats"), array(ref("Stats"))]})),
            parameters=named("sysparm_query", "sysparm_count", "sysparm_group_by"),
        ),
    },
    "/api/now/batch": {
        "post": _operation(
            "batch.run", "Several requests of these two in one", _TABLES,
            answers(200, _ANSWER), requestBody=body(ref("Batch")),
        ),
    },
    "/api/now/attachment": {
        "get": _operation(
            "attachment.list", "What is known of files", _ATTACHMENTS,
            answers(200, _MANY, "X-Total-Count", "Link"),
            parameters=named(
                *("sysparm_query", "sysparm_limit", "sysparm_offset", "sysparm_display_value"),
                "sysparm_suppress_pagination_header",
            ),
        ),
    },
    "/api/now/attachment/{sys_id}": {
        "parameters": named("sys_id"),
        "get": _operation(
            "attachment.get", "What is known of a file", _ATTACHMENTS, answers(200, _ONE),
            parameters=named("sysparm_display_value"),
        ),
        "delete": _operation("attachment.delete", "Remove a file", _ATTACHMENTS,
                             answers(204, None)),
    },
    "/api/now/attachment/{sys_id}/file": {
        "parameters": named("sys_id"),
        "get": _operation("attachment.read", "A file's content", _ATTACHMENTS,
                          answers(200, {}, kind="*/*")),
    },
    "/api/now/attachment/file": {
        "post": _operation(
            "attachment.add", "Add a file: the body is its content", _ATTACHMENTS,
            answers(201, _ONE, "Location"),
            parameters=named("table_name", "table_sys_id", "file_name"),
            requestBody=body({}, kind="application/octet-stream"),
        ),
    },
    "/api/now/attachment/upload": {
        "post": _operation(
            "attachment.upload", "Add a file by a form: its fields first", _ATTACHMENTS,
            answers(201, _ONE, "Location"),
            requestBody=body(_FORM, kind="multipart/form-data"),
        ),
    },
}  # fmt: skip
