"""Paired instances: whose messages are read, and to whom anything is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, Connection, select

from keystead.audit import log
from keystead.base.errors import Conflict, Denied, Invalid, NotFound
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.database.schema import OnClone, short, tagged_table, text
from keystead.exchange.identity import (
    Identity,
    check_fingerprint_form,
    from_json,
    same_fingerprint,
)
from keystead.keys.hierarchy import Hierarchy

_ADDRESS: Final = re.compile(r"https://[^/\s]+/?")

PEERS = tagged_table(
    "keystead_peer",
    OnClone.KEEP,
    short("name", unique=True),
    text("url"),
    text("identity"),
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A paired instance and where it is reached."""

    identity: Identity
    url: str

    @property
    def instance_id(self) -> str:
        """Its instance id."""
        return self.identity.instance_id


class PeerChannel(Protocol):
    """How messages reach a paired instance: pinned, signed, answered."""

    def send(self, peer: Peer, purpose: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send one message and return the peer's verified answer.

        Raises:
            Unavailable: when the peer does not answer within the patience that is set.
            Denied: when what answers is not the paired instance.
            KeysteadError: of the peer's own family, when the peer refuses.
        """
        ...

    def fetch_identity(self, url: str) -> Identity:
        """What the instance at `url` says it is; not believed before its fingerprint is.

        Raises:
            Unavailable: when nothing usable answers.
        """
        ...


def pair_at(
    database: Database,
    hierarchy: Hierarchy,
    channel: PeerChannel,
    url: str,
    expected_fingerprint: str,
    actor: str,
) -> Peer:
    """Ask the instance at `url` who it is, and pair with it, as `pair`.

    Raises:
        Invalid: for an address or a fingerprint that cannot be one.
        Unavailable: when no instance answers there.
    """
    check_fingerprint_form(expected_fingerprint)
    if not _ADDRESS.fullmatch(url):
        raise Invalid("peer.address", url=url)
    shown = channel.fetch_identity(url)
    with database.transaction() as tx:
        return pair(tx, hierarchy, shown, url, expected_fingerprint, actor)


def pair(
    tx: Connection,
    hierarchy: Hierarchy,
    identity: Identity,
    url: str,
    expected_fingerprint: str,
    actor: str,
) -> Peer:
    """Pair with an instance whose fingerprint was compared out of band.

    Raises:
        Denied: when it shows another fingerprint.
        Conflict: when it is paired, or is this instance.
    """
    if not same_fingerprint(identity.fingerprint, expected_fingerprint):
        raise Denied("peer.fingerprint", url=url)
    if identity.instance_id == hierarchy.instance_id:
        raise Conflict("peer.self")
    same = (PEERS.c.sys_id == identity.instance_id) | (PEERS.c.name == identity.name)
    if tx.execute(select(PEERS.c.sys_id).where(same)).first():
        raise Conflict("peer.exists", peer=identity.name)
    hierarchy.integrity.insert(
        tx,
        PEERS,
        sys_id=identity.instance_id,
        name=identity.name,
        url=url,
        identity=json.dumps(identity.as_json()),
    )
    log.record(tx, actor, "peer.pair", identity.instance_id, fingerprint=identity.fingerprint)
    return Peer(identity, url)


def names(tx: Connection, hierarchy: Hierarchy) -> dict[str, str]:
    """The name of each paired instance, by its id."""
    return {peer.instance_id: peer.identity.name for peer in listed(tx, hierarchy)}


def by_name(tx: Connection, hierarchy: Hierarchy, name: str) -> Peer:
    """The paired instance of that name or id.

    Raises:
        NotFound: when there is none.
    """
    return _one(tx, hierarchy, name, (PEERS.c.name == name) | (PEERS.c.sys_id == name))


def by_id(tx: Connection, hierarchy: Hierarchy, instance_id: str) -> Peer:
    """The paired instance with that id.

    Raises:
        NotFound: when there is none.
    """
    return _one(tx, hierarchy, instance_id, PEERS.c.sys_id == instance_id)


def listed(tx: Connection, hierarchy: Hierarchy) -> list[Peer]:
    """Every paired instance."""
    return [_peer(row) for row in hierarchy.integrity.all(tx, PEERS)]


def _one(tx: Connection, hierarchy: Hierarchy, what: str, condition: ColumnElement[bool]) -> Peer:
    found = hierarchy.integrity.all(tx, PEERS, condition)
    if not found:
        raise NotFound("peer.missing", peer=what)
    if len(found) > 1:
        raise Conflict("peer.ambiguous", peer=what)
    return _peer(found[0])


def _peer(row: Fields) -> Peer:
    return Peer(from_json(json.loads(row["identity"])), row["url"])


def unpair(tx: Connection, hierarchy: Hierarchy, name: str, actor: str) -> None:
    """Forget a paired instance: nothing is read from it or sent to it any more.

    Raises:
        NotFound: when it is not paired.
    """
    peer = by_name(tx, hierarchy, name)
    (row,) = hierarchy.integrity.all(tx, PEERS, PEERS.c.sys_id == peer.instance_id)
    hierarchy.integrity.delete(tx, PEERS, row, f"the peer {peer.identity.name}")
    log.record(tx, actor, "peer.unpair", peer.instance_id)
