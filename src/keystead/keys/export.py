"""Keys in the clear, for a checker that trusts nobody: made on purpose, and audited."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base.secret import REVEAL, Secret
from keystead.keys import held
from keystead.keys.hierarchy import Hierarchy


def export(tx: Connection, hierarchy: Hierarchy, actor: str) -> dict[str, Any]:
    """The bytes of every key that opens values here: who has this document reads every value."""
    found = [
        {
            "key_id": row["sys_id"],
            "key": held.open_key(tx, hierarchy, row).reveal(REVEAL).hex(),
            "state": row["state"],
        }
        for row in held.all_keys(tx, hierarchy)
        if held.can_open(row)
    ]
    log.record(tx, actor, "key.export", hierarchy.instance_id, keys=len(found))
    return {"instance": hierarchy.instance_id, "keys": found}


def read(text: str) -> list[tuple[bytes, Secret]]:
    """The id and the bytes of each key in such a document.

    Raises:
        ValueError: for any other text.
    """
    try:
        return [
            (bytes.fromhex(key["key_id"]), Secret(bytes.fromhex(key["key"])))
            for key in json.loads(text)["keys"]
        ]
    except (KeyError, TypeError, RecursionError):
        raise ValueError("not a document of exported keys") from None
