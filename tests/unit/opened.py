"""The bytes of a key, for tests that compare them."""

from __future__ import annotations

from typing import Any

from keystead.base.secret import Secret
from keystead.keys import service as keys


def opened(site: Any, row: dict[str, Any]) -> Secret:
    """The key of a row, opened by a site or node with an `instance`."""
    with site.instance.database.snapshot() as tx:
        return keys.open_key(tx, site.hierarchy, row)
