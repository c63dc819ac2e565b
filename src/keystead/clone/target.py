"""The target's side of a clone: rows go into staging; one transaction puts them in place.

Beginning, step by step; each step refuses on its own:

1. the plan is signed by the paired source, for this instance, in time
2. the inventory is the one that was planned
3. this instance is empty: no table, no module of its own (asked again when it is put in place)
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, IllegalTransition, Invalid, NotFound
from keystead.base.ids import is_id
from keystead.clone import inventory, plan, preflight
from keystead.clone.inventory import Inventory
from keystead.clone.model import Action, KeyOption, Side, State, next_state
from keystead.clone.source import BEGIN, COMMIT, PREFLIGHT, ROWS, STATE
from keystead.clone.tables import CLONES
from keystead.database.integrity import Fields
from keystead.database.model import STAGING_PREFIX, Table
from keystead.database.port import Database, Row
from keystead.exchange.messages import Body, Handler
from keystead.exchange.peers import Peer
from keystead.external import standing
from keystead.jobs import service as jobs
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.model import ModuleState
from keystead.keys.tables import MODULES


def handlers(database: Database, hierarchy: Hierarchy) -> dict[str, Handler]:
    """What this instance answers to a paired source about clones."""
    target = _Target(database, hierarchy)
    return {
        PREFLIGHT: target.preflight,
        STATE: target.state,
        BEGIN: target.begin,
        ROWS: target.rows,
        COMMIT: target.commit,
    }


class _Target:
    def __init__(self, database: Database, hierarchy: Hierarchy) -> None:
        self._database = database
        self._hierarchy = hierarchy

    def preflight(self, peer: Peer, body: dict[str, Any]) -> Body:
        del peer, body
        with self._database.snapshot() as tx:
            self._refuse_unless_empty(tx)
            return {"state": "ready", "external": preflight.tell(tx, self._hierarchy)}

    def state(self, peer: Peer, body: dict[str, Any]) -> Body:
        """Where the peer's clone stands here: a source may have missed the answer to its commit."""
        with self._database.snapshot() as tx:
            try:
                return {"state": self._own(tx, peer, str(body["clone_id"]))["state"]}
            except NotFound:
                return {"state": None}

    def begin(self, peer: Peer, body: dict[str, Any]) -> Body:
        if not isinstance(body["plan"], str):
            raise Invalid("message.invalid", reason="its plan is not a signed text")
        content = plan.read(  # step 1
            body["plan"], peer.identity.signing, peer.instance_id, self._hierarchy.instance_id
        )
        taken: Inventory = body["inventory"]
        clone_id, attempt = str(content["clone_id"]), int(body["attempt"])
        if plan.inventory_hash(taken) != content["inventory_hash"]:  # step 2
            raise Conflict("clone.stale", reason="its tables, modules or policies changed")
        if taken["counts"] != content["tables"]:
            raise Conflict("clone.stale", reason="its rows or values changed")
        if not is_id(clone_id):
            raise Invalid("message.invalid", reason="its clone has no usable id")
        inventory.check(taken)
        with self._database.snapshot() as tx:
            external = preflight.tell(tx, self._hierarchy)
        with self._database.transaction() as tx:
            try:
                clone = self._own(tx, peer, clone_id)
            except NotFound:
                clone = self._insert(tx, peer, clone_id, str(body["plan"]))
            if attempt <= clone["attempt"]:
                raise Conflict("clone.order")
            self._refuse_unless_empty(tx)  # step 3
            self._drop_staging(tx, peer)
            tables = inventory.tables_of(taken)
            for at, table in enumerate(tables):
                staged = Table(_staging(clone_id, at), table.columns, table.primary_key)
                self._database.create_table(tx, staged)
            self._hierarchy.integrity.update(
                tx,
                CLONES,
                clone,
                "the clone",
                state=next_state(clone_id, State(clone["state"]), Action.STAGE),
                attempt=attempt,
                next_sequence=0,
                inventory=json.dumps(taken),
            )
        return {"state": State.STAGING, "external": external}

    def rows(self, peer: Peer, body: dict[str, Any]) -> Body:
        with self._database.transaction() as tx:
            clone = self._current(tx, peer, body)
            sequence = int(body["sequence"])
            if sequence == clone["next_sequence"] - 1:
                return {"next_sequence": clone["next_sequence"]}
            if sequence != clone["next_sequence"]:
                raise Conflict("clone.order")
            clone_id, at = clone["sys_id"], int(body["table"])
            tables = inventory.tables_of(json.loads(clone["inventory"]))
            names = [c.name for c in tables[at].columns]
            self._database.insert(
                tx, _staging(clone_id, at), names, _checked(body["rows"], tables[at])
            )
            self._hierarchy.integrity.update(
                tx, CLONES, clone, "the clone", next_sequence=sequence + 1
            )
        return {"next_sequence": sequence + 1}

    def commit(self, peer: Peer, body: dict[str, Any]) -> Body:
        """Count the staged copy, and put it in place if it equals what the source counted."""
        with self._database.snapshot() as tx:
            # providers are asked before the transaction
            standings = standing.standings(tx, self._hierarchy)
        own = {one.reference: configuration_id for configuration_id, one in standings.items()}
        with self._database.transaction() as tx:
            clone = self._own(tx, peer, str(body["clone_id"]))
            if clone["state"] == State.COMMITTED:
                return {"state": clone["state"]}
            clone = self._current(tx, peer, body)
            self._refuse_unless_empty(tx)
            clone_id = clone["sys_id"]
            taken: Inventory = json.loads(clone["inventory"])
            tables = inventory.tables_of(taken)
            for at, table in enumerate(tables):
                self._refuse_difference(tx, taken, table.name, _staging(clone_id, at))
            for at, table in enumerate(tables):
                self._database.rename_table(tx, _staging(clone_id, at), table.name)
            content = plan.read(
                clone["plan"], peer.identity.signing, peer.instance_id, self._hierarchy.instance_id
            )
            if content["keys"] != KeyOption.WITHHELD:
                inventory.refuse_other_external_keys(taken, own)
            inventory.restore(tx, self._hierarchy, taken, own)
            self._make_own_keys(tx, taken, peer)
            state = next_state(clone["sys_id"], State(clone["state"]), Action.COMMIT)
            self._hierarchy.integrity.update(
                tx, CLONES, clone, "the clone", state=state, committed_at=clock.now()
            )
            self._ask_for_keys(tx, clone, content, taken, peer)
            log.record(tx, peer.instance_id, "clone.commit", clone["sys_id"])
        return {"state": state}

    def _refuse_unless_empty(self, tx: Connection) -> None:
        names = self._database.table_names(tx)
        if names:
            raise Conflict("clone.not_empty", what="tables of its own")
        modules = self._hierarchy.integrity.all(tx, MODULES)
        if modules:
            raise Conflict("clone.not_empty", what="crypto modules of its own")

    def _refuse_difference(
        self, tx: Connection, taken: Inventory, table: str, staging: str
    ) -> None:
        columns = inventory.encrypted_columns(taken, table)
        found = inventory.count_columns(tx, self._database, staging, columns)
        expected = taken["counts"][table]
        if found["rows"] != expected["rows"]:
            reason = f"{table} has {found['rows']} rows, not {expected['rows']}"
            raise Conflict("clone.differs", reason=reason)
        if found["values"] != expected["values"]:
            raise Conflict("clone.differs", reason=f"{table} counts other values by key")

    def _make_own_keys(self, tx: Connection, taken: Inventory, peer: Peer) -> None:
        """A fresh active key for each published module, so nothing new is written under a copy."""
        for module in taken["modules"]:
            if module["state"] == ModuleState.PUBLISHED:
                keys.generate(tx, self._hierarchy, module["name"], peer.instance_id)

    def _ask_for_keys(
        self, tx: Connection, clone: Fields, content: plan.Plan, taken: Inventory, peer: Peer
    ) -> None:
        specs = [row["sys_id"] for row in taken["specifications"]]
        if content["keys"] == KeyOption.WITHHELD or not specs:
            return
        arguments = {
            "peer": peer.instance_id,
            "specifications": specs,
            "clone_id": clone["sys_id"],
            "rekey": content["keys"] == KeyOption.EXCHANGE_AND_REKEY,
        }
        jobs.create(tx, JobKind.EXCHANGE, clone["sys_id"], arguments, peer.instance_id)

    def _own(self, tx: Connection, peer: Peer, clone_id: str) -> Fields:
        """A clone that this very peer began."""
        clone = plan.get(tx, self._hierarchy, clone_id)
        if clone["peer_id"] != peer.instance_id or clone["side"] != Side.TARGET:
            raise NotFound("clone.missing", clone=clone_id)
        return clone

    def _current(self, tx: Connection, peer: Peer, body: dict[str, Any]) -> Fields:
        """The clone that a message belongs to, when it is of the attempt that is staged."""
        clone = self._own(tx, peer, str(body["clone_id"]))
        if clone["state"] != State.STAGING:
            raise IllegalTransition(
                "clone.transition", clone=clone["sys_id"], state=clone["state"], action=Action.STAGE
            )
        if int(body["attempt"]) != clone["attempt"]:
            raise Conflict("clone.order")
        return clone

    def _insert(self, tx: Connection, peer: Peer, clone_id: str, signed: str) -> Fields:
        self._hierarchy.integrity.insert(
            tx,
            CLONES,
            sys_id=clone_id,
            side=Side.TARGET,
            peer_id=peer.instance_id,
            state=State.STAGING,
            plan=signed,
            attempt=0,
            next_sequence=0,
            created_at=clock.now(),
        )
        log.record(tx, peer.instance_id, "clone.stage", clone_id)
        return plan.get(tx, self._hierarchy, clone_id)

    def _drop_staging(self, tx: Connection, peer: Peer) -> None:
        """Drop what earlier attempts of this peer left; another peer's clone is not touched."""
        condition = (CLONES.c.peer_id == peer.instance_id) & (CLONES.c.side == Side.TARGET)
        begun = {clone["sys_id"] for clone in self._hierarchy.integrity.all(tx, CLONES, condition)}
        for name in self._database.staging_names(tx):
            if name.removeprefix(STAGING_PREFIX).split("_")[0] in begun:
                self._database.drop_table(tx, name)


def _staging(clone_id: str, at: int) -> str:
    return f"{STAGING_PREFIX}{clone_id}_{at}"


def _checked(rows: Any, table: Table) -> list[Row]:
    """Rows from a peer, when each has the right width, whole keys, and text, numbers and null."""
    allowed = (str, int, type(None))
    keys_at = [at for at, c in enumerate(table.columns) if c.name in table.primary_key]
    if not isinstance(rows, list) or any(
        not isinstance(row, list)
        or len(row) != len(table.columns)
        or any(type(value) not in allowed for value in row)
        or any(row[at] is None for at in keys_at)
        for row in rows
    ):
        raise Invalid("message.invalid", reason="its rows do not fit the table")
    return [tuple(row) for row in rows]
