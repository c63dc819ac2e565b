"""The statistics API: how many records there are, in the shapes that clients of ServiceNow's know.

`/api/now/stats/{table}`, also under v1 and v2. Who groups or filters by an encrypted column needs
the right to decrypt it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from litestar import Response, Router, get

from keystead.delivery.api.declared import OwnTables
from keystead.delivery.api.log_in import Call, Door, Path
from keystead.delivery.api.tables import asked, caller, text_of
from keystead.dictionary.registry import TABLES
from keystead.records.groups import groups
from keystead.records.session import Records

PREFIXES: Final = ("/api/now/stats", "/api/now/v1/stats", "/api/now/v2/stats")


def routes(records: Records, own: OwnTables, door: Door) -> list[Router]:
    """The statistics API under each of its prefixes; `door` lets in who calls."""

    @get("/{table:str}", sync_to_thread=True)
    def stats(request: Call, table: Path) -> Response[Any]:
        user = door.caller(request)
        by = _group_by(request)
        if table in TABLES:
            counted = own.counted(request, user, table, by)
        else:
            counted = _counted(records, request, user, table, by)
        return Response({"result": _told(counted, by) if by else _stats(request, counted[()])})

    return [Router(prefix, route_handlers=[stats]) for prefix in PREFIXES]


def _counted(
    records: Records, call: Call, user: str, table: str, by: list[str]
) -> Counter[tuple[str, ...]]:
    with records.reading(caller(user), table) as view:
        query = asked(call, view)
        if not by:
            return Counter({(): view.count(query)})
        found = groups(view, query, by)
    return Counter({tuple(map(text_of, values)): count for values, count in found.items()})


def _group_by(call: Call) -> list[str]:
    given = call.query_params.get("sysparm_group_by", "")
    return list(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))


def _told(counted: Counter[tuple[str, ...]], by: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "stats": {"count": str(count)},
            "groupby_fields": [
                {"field": n, "value": value} for n, value in zip(by, values, strict=True)
            ],
        }
        for values, count in sorted(counted.items())
    ]


def _stats(call: Call, count: int) -> dict[str, Any]:
    is_wanted = call.query_params.get("sysparm_count", "").lower() == "true"
    return {"stats": {"count": str(count)} if is_wanted else {}}
