"""Pages of a list: the parameters that ask for one, and the headers that lead to others."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from keystead.base.errors import Invalid
from keystead.delivery.api.log_in import Call

_LONGEST_NUMBER = 10


def number(call: Call, name: str, default: int) -> int:
    """A parameter that is a whole number, or `default` where it is not given.

    Raises:
        Invalid: for anything else.
    """
    given = call.query_params.get(name, "")
    if given == "":
        return default
    if not (given.isascii() and given.isdecimal() and len(given) < _LONGEST_NUMBER):
        raise Invalid("parameter.number", parameter=name)
    return int(given)


def paging(
    call: Call, limit: int, offset: int, total: int | None, parameter: str = "sysparm_offset"
) -> dict[str, str]:
    """`X-Total-Count` and the `Link` to the first, previous, next and last page.

    `parameter` is the one that says where a page begins.
    """
    if total is None:
        return {}
    headers = {"X-Total-Count": str(total)}
    if call.query_params.get("sysparm_suppress_pagination_header") == "true" or limit == 0:
        return headers
    last = max(0, (total - 1) // limit * limit)
    pages = {"first": 0, "last": last}
    if offset > 0:
        pages["prev"] = max(0, offset - limit)
    if offset + limit < total:
        pages["next"] = offset + limit
    base = quote(
        call.url.path
    )  # without a host: the one in the request is whatever the caller says
    others = [(k, v) for k, v in call.query_params.multi_items() if k != parameter]
    headers["Link"] = ",".join(
        f'<{base}?{urlencode([*others, (parameter, at)])}>;rel="{rel}"' for rel, at in pages.items()
    )
    return headers
