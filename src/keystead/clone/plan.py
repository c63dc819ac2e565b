"""The plan of a clone: a census of every encrypted value, each classed by what becomes of it.

| class | meaning |
|---|---|
| readable | the target will hold the key, by exchange |
| rekeyed | so it will, and moves the value to a key of its own |
| deliberately unreadable | the key is withheld on purpose |
| lost | nobody could read it: its key is not held here, or it is not as Keystead wrote it |

A plan with anything lost, or with plain text left in an encrypted column, is refused. Attachments
stay behind, and the plan says how many; how they are encrypted goes along (ADR 0016).
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, Final

from sqlalchemy import Connection

from keystead.attachments import service as attachments
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, NotFound
from keystead.base.ids import new_id
from keystead.clone import inventory, preflight
from keystead.clone.inventory import Inventory
from keystead.clone.model import KeyOption, Side, State
from keystead.clone.preflight import Told
from keystead.clone.tables import CLONES
from keystead.crypto import sign
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.exchange.peers import Peer
from keystead.fields import census
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy

LIFETIME_SECONDS: Final = 24 * 3600
PURPOSE: Final = "clone.plan"
_CLASS = {
    KeyOption.EXCHANGE: "readable",
    KeyOption.EXCHANGE_AND_REKEY: "rekeyed",
    KeyOption.WITHHELD: "deliberately unreadable",
}
NOT_COPIED: Final = "not copied"
Plan = dict[str, Any]


def make(
    tx: Connection,
    database: Database,
    hierarchy: Hierarchy,
    target: Peer,
    option: KeyOption,
    actor: str,
    told: Told = preflight.SILENT,
) -> Fields:
    """Make, sign and store a plan; `told` is what the target says of its external keys.

    Raises:
        Conflict: when the plan is refused, with the reason; or while a job works on the values.
    """
    jobs.refuse_while_busy(tx, "The instance", JobKind.ENCRYPT, JobKind.REKEY, JobKind.CLONE)
    taken = inventory.take(tx, database, hierarchy)
    if not taken["tables"]:
        raise _refused("there is no table to clone", "Load one with: keystead load HOME TABLE FILE")
    cases = preflight.cases(tx, hierarchy, option, told)
    preflight.refuse_blocked(cases)
    values = _classed(census.count_columns(tx, database, hierarchy), _held(tx, hierarchy), option)
    clone_id = new_id()
    claims = {
        "clone_id": clone_id,
        "keys": option.value,
        "fingerprint": target.identity.fingerprint,
        "tables": taken["counts"],
        "values": values,
        "attachments": {
            table: {**found, "class": NOT_COPIED} for table, found in attachments.sizes(tx).items()
        },
        "external": [case.as_json() for case in cases],
        "inventory_hash": inventory_hash(taken),
    }
    signed = sign.sign(
        hierarchy.signing,
        purpose=PURPOSE,
        sender=hierarchy.instance_id,
        audience=target.instance_id,
        lifetime_seconds=LIFETIME_SECONDS,
        claims=claims,
    )
    hierarchy.integrity.insert(
        tx,
        CLONES,
        sys_id=clone_id,
        side=Side.SOURCE,
        peer_id=target.instance_id,
        state=State.PLANNED,
        plan=json.dumps(signed),
        attempt=0,
        next_sequence=0,
        created_at=clock.now(),
    )
    log.record(tx, actor, "clone.plan", clone_id, target=target.instance_id, keys=option.value)
    return get(tx, hierarchy, clone_id)


def read(signed: str | dict[str, Any], public: bytes, source: str, target: str) -> Plan:
    """The content of a signed plan.

    Raises:
        Tampered: when it is not the source's plan for this target, or has expired.
    """
    envelope = json.loads(signed) if isinstance(signed, str) else signed
    return sign.verify(public, envelope, purpose=PURPOSE, sender=source, audience=target)


def content(clone: Fields) -> Plan:
    """What a clone's plan says, to look at: its row was checked, its signature is not."""
    return dict(json.loads(b64decode(json.loads(clone["plan"])["payload"])))


def inventory_hash(taken: Inventory) -> str:
    """What a plan fixes of the inventory: everything but the counts, which it lists by itself."""
    return sign.digest(sign.canonical({k: v for k, v in taken.items() if k != "counts"}))


def get(tx: Connection, hierarchy: Hierarchy, clone_id: str) -> Fields:
    """The clone with that id.

    Raises:
        NotFound: when there is none.
    """
    missing = NotFound("clone.missing", clone=clone_id)
    return hierarchy.integrity.one(tx, CLONES, missing, CLONES.c.sys_id == clone_id)


def listed(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every clone, oldest first."""
    return hierarchy.integrity.all(tx, CLONES)


def _classed(
    counted: list[census.ColumnCensus], held: set[str], option: KeyOption
) -> list[dict[str, Any]]:
    classed = []
    for column in counted:
        where = f"{column.table}.{column.column}"
        if column.plain:
            raise _refused(
                f"{where} still holds {column.plain} clear values",
                f"Encrypt them first with: keystead encrypt HOME {column.table}",
            )
        lost = column.unknown + sum(n for k, n in column.by_key.items() if k not in held)
        if lost:
            raise _refused(
                f"{lost} values of {where} cannot be read here, and so would be lost",
                "Find them with: keystead census HOME --open",
            )
        classed.append({**column.as_json(), "class": _CLASS[option]})
    return classed


def _held(tx: Connection, hierarchy: Hierarchy) -> set[str]:
    return {row["sys_id"] for row in keys.all_keys(tx, hierarchy) if keys.can_open(row)}


def _refused(reason: str, advice: str) -> Conflict:
    return Conflict("clone.refused", reason=reason, advice=advice)
