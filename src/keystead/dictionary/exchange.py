"""Paired instances, and resource exchange requests between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from keystead.base.errors import Invalid
from keystead.clone.tables import CLONES
from keystead.dictionary.model import (
    Context,
    Field,
    Kind,
    Nothing,
    Operation,
    Outcome,
    Related,
    Row,
    Table,
)
from keystead.exchange import job as asking
from keystead.exchange import peers, service
from keystead.exchange.model import Frequency, Side, Status
from keystead.exchange.peers import PEERS
from keystead.exchange.tables import REQUESTS
from keystead.keys import service as keys
from keystead.keys.tables import SPECIFICATIONS

_PEER: Final = PEERS.name
_REQUEST: Final = REQUESTS.name
_TONES: Final[Mapping[str, str]] = {
    Status.PENDING: "busy",
    Status.APPROVED: "busy",
    Status.IMPORTED: "busy",
    Status.COMPLETE: "good",
    Status.EXPIRED: "warn",
}


class NewPeer(msgspec.Struct, forbid_unknown_fields=True):
    """Where the other instance is served, and who it must be."""

    url: Annotated[str, Meta(title="Address", description="https://HOST:PORT, without a path.")]
    fingerprint: Annotated[
        str,
        Meta(
            title="Fingerprint",
            description="Told to you by someone you trust; over there 'peer identity' prints it.",
        ),
    ]


class NewRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which keys are asked for, and from whom."""

    exchange_frequency: Annotated[
        Frequency,
        Meta(
            title="Exchange Frequency",
            description="Once; the source grants it by the policy that its clone makes.",
        ),
    ] = Frequency.ONE_TIME_CLONE
    source_instance: Annotated[
        str,
        Meta(
            title="Source Instance sys_id",
            description="The paired instance that has the keys.",
            extra={"reference": _PEER},
        ),
    ]
    source_host: Annotated[
        str,
        Meta(
            title="Source Instance Host",
            description="Where it is served; if given, it must be as it was paired.",
        ),
    ] = ""
    crypto_specifications: Annotated[
        list[str],
        Meta(
            title="Crypto Specifications",
            description="Their keys are asked for.",
            min_length=1,
            extra={"reference": SPECIFICATIONS.name},
        ),
    ]
    enable_rekeying: Annotated[
        bool,
        Meta(
            title="Enable Rekeying after Key Imported",
            description="Move every value to keys of this instance when the others are here.",
        ),
    ] = False


def _add(context: Context, _row: Row, given: NewPeer) -> Outcome:
    instance = context.instance
    peer = peers.pair_at(
        instance.database,
        instance.hierarchy,
        context.channel,
        given.url,
        given.fingerprint,
        context.actor.name,
    )
    said = f"Paired with '{peer.identity.name}'. Pair it with this instance over there, too."
    return Outcome(said, _PEER, peer.instance_id)


def _remove(context: Context, row: Row, _given: Nothing) -> Outcome:
    with context.instance.database.transaction() as tx:
        peers.unpair(tx, context.instance.hierarchy, row["sys_id"], context.actor.name)
    return Outcome(f"'{row['name']}' is not paired any more.", _PEER)


def _request(context: Context, _row: Row, given: NewRequest) -> Outcome:
    hierarchy = context.instance.hierarchy
    with context.instance.database.transaction() as tx:
        peer = peers.by_id(tx, hierarchy, given.source_instance)
        if given.source_host and _host(given.source_host) != _host(peer.url):
            raise Invalid("peer.host", peer=peer.identity.name, host=given.source_host)
        request_id, job_id = asking.request(
            tx,
            hierarchy,
            peer,
            list(dict.fromkeys(given.crypto_specifications)),
            rekey=given.enable_rekeying,
            actor=context.actor.name,
        )
    said = f"{Status.PENDING}: '{peer.identity.name}' is being asked for the keys."
    return Outcome(said, _REQUEST, request_id, job=job_id)


def _refresh(context: Context, row: Row, _given: Nothing) -> Outcome:
    hierarchy = context.instance.hierarchy
    with context.instance.database.transaction() as tx:
        job_id = asking.refresh(tx, hierarchy, row["sys_id"], context.actor.name)
    return Outcome("The source is being asked again.", _REQUEST, row["sys_id"], job=job_id)


def _host(address: str) -> str:
    """What of an address says where an instance is, whether written as a URL or not."""
    return urlsplit(address if "//" in address else f"//{address}").netloc.lower()


def _peers(tx: Connection, context: Context) -> list[dict[str, Any]]:
    return [
        {
            "sys_id": peer.instance_id,
            "name": peer.identity.name,
            "url": peer.url,
            "fingerprint": peer.identity.fingerprint,
        }
        for peer in peers.listed(tx, context.instance.hierarchy)
    ]


def _requests(tx: Connection, context: Context) -> list[dict[str, Any]]:
    hierarchy = context.instance.hierarchy
    hosts = {peer.instance_id: _host(peer.url) for peer in peers.listed(tx, hierarchy)}
    modules = {
        spec["sys_id"]: keys.module_name(tx, hierarchy, spec["sys_id"])
        for spec in keys.all_specifications(tx, hierarchy)
    }
    return [
        {
            "sys_id": row["sys_id"],
            "frequency": row["frequency"],
            "side": row["side"],
            "peer_id": row["peer_id"],
            "host": hosts.get(row["peer_id"]),
            "specifications": _named(json.loads(row["document"])["specifications"], modules),
            "rekey": bool(row["rekey"]),
            "status": row["status"],
            "moved_key_count": row["moved_key_count"],
            "total_key_count": row["total_key_count"],
            "clone_id": row["clone_id"],
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
        }
        for row in reversed(service.listed(tx, hierarchy))
    ]


def _named(spec_ids: Sequence[str], modules: dict[str, str]) -> str:
    """Specifications by their modules; by id where this instance has none of that id."""
    return ", ".join(sorted(modules.get(spec_id, spec_id) for spec_id in spec_ids))


def _waits_here(row: Row) -> bool:
    waiting = row["status"] in (Status.PENDING, Status.APPROVED, Status.IMPORTED)
    return row["side"] == Side.TARGET and waiting


PEER_TABLE: Final = Table(
    _PEER,
    "peers",
    "Paired Instance",
    "Paired Instances",
    "Instances whose keys and certificate are pinned; the sys_id is their instance id.",
    (
        Field("name", "Name"),
        Field("url", "Address"),
        Field("fingerprint", "Fingerprint", in_list=False),
    ),
    _peers,
    display="name",
    create=Operation("peer.add", "New", "Pair with another instance; do it on both sides.",
                     _add, NewPeer),
    operations=(
        Operation("peer.remove", "Remove", "Forget the paired instance.", _remove,
                  danger="Nothing is read from it or sent to it any more."),
    ),
    related=(Related(_REQUEST, "peer_id"), Related(CLONES.name, "peer_id")),
    empty="No paired instance yet. Pair one with New.",
)  # fmt: skip

REQUEST_TABLE: Final = Table(
    _REQUEST,
    "exchange-requests",
    "Resource Exchange Request",
    "Resource Exchange Requests",
    "Requests for keys, from here and to here, newest first; each is on both instances.",
    (
        Field("status", "Status", Kind.STATE, choices=tuple(Status), tones=_TONES),
        Field("frequency", "Exchange Frequency", Kind.CHOICE, choices=tuple(Frequency)),
        Field("side", "This instance is the", Kind.CHOICE, choices=tuple(Side)),
        Field("peer_id", "Source or Target Instance sys_id", Kind.REFERENCE, reference=_PEER),
        Field("host", "Source or Target Instance Host", in_list=False),
        Field("specifications", "Crypto Specifications", help="By their modules."),
        Field("moved_key_count", "Imported Key Count", Kind.NUMBER),
        Field("total_key_count", "Total Key Count", Kind.NUMBER),
        Field("rekey", "Enable Rekeying after Key Imported", Kind.YES_NO, in_list=False),
        Field("clone_id", "Clone", Kind.REFERENCE, reference=CLONES.name, in_list=False),
        Field("created_at", "Created", Kind.MOMENT),
        Field("updated_at", "Updated", Kind.MOMENT, in_list=False),
    ),
    _requests,
    create=Operation("exchange.request", "New", "Ask a source for the keys of specifications.",
                     _request, NewRequest),
    operations=(
        Operation("exchange.refresh", "Ask again", "Ask the source again about the request.",
                  _refresh, fits=_waits_here),
    ),
    empty="No exchange request yet. A clone with its keys makes one; so does New.",
)  # fmt: skip

TABLES: Final = (REQUEST_TABLE, PEER_TABLE)
