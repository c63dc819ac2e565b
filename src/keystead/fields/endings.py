"""The end of keys as the census sees it: what values need stays, and no old copy is left behind."""

from __future__ import annotations

from sqlalchemy import Connection

from keystead.base.errors import KeysteadError
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.fields import census
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


def drop(
    tx: Connection, database: Database, hierarchy: Hierarchy, key_id: str, actor: str
) -> Fields:
    """Destroy a key received from another instance, once the census finds nothing that needs it.

    Raises:
        Conflict: for a key of this instance's own, or while something needs it or a job runs.
        IllegalTransition: unless it is deactivated.
    """
    row = keys.key(tx, hierarchy, key_id)
    keys.refuse_while_needed(tx, hierarchy, key_id, census.needs(database, hierarchy))
    return keys.drop_key(tx, hierarchy, row, actor)


def clear(database: Database) -> KeysteadError | None:
    """Clear old copies of a destroyed key's bytes; what is in the way of it, if anything is."""
    try:
        database.scrub()
    except KeysteadError as error:
        return error
    return None


def cleared(database: Database) -> str:
    """The same, in a sentence."""
    error = clear(database)
    return f"{error.what} {error.todo}" if error else "Old copies of its bytes are cleared."
