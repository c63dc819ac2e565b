"""Key exchange: sealed to a named receiver, signed by a named sender, for one request, once.

The target asks; the source's resource exchange policy decides; the source seals. Both keep the
request document word for word, so both compute the same hash, and everything is bound to it.

Importing, step by step; each step refuses on its own and nothing is imported:

1. the bundle is signed by the paired source, for this instance, in time
2. it is for this very request: its hash covers identities, specifications, suite and sealing key
3. the request's nonce was not used: the request is approved and not imported
4. the request has not expired
5. the sealed keys open with this instance's sealing key and the request's hash
6. they are exactly as many as were announced, and only of the specifications asked for
7. keys under an external key open with the transport key that this instance's own provider opens,
   and their module is still under that external key (ADR 0022)
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from keystead.access import exchange_policies as access
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, KeysteadError, NotFound, Tampered, Unavailable
from keystead.base.ids import new_id
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import seal, sign, wrap
from keystead.crypto.wrap import KEY_SIZE
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.exchange import peers
from keystead.exchange.messages import Body, Handler
from keystead.exchange.model import (
    Action,
    Frequency,
    Side,
    Status,
    next_status,
    request_hash,
    seal_info,
    transport_context,
    transport_place,
)
from keystead.exchange.peers import Peer, PeerChannel
from keystead.exchange.tables import REQUESTS
from keystead.external import standing
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy

REQUEST_SECONDS: Final = access.EXCHANGE_POLICY_SECONDS  # as long as what may grant it
RECEIPT_SECONDS: Final = 10 * 365 * 24 * 3600
_LATEST_SECONDS = REQUEST_SECONDS + sign.CLOCK_SKEW_SECONDS
_MOST_KEYS = 2**31
_KEY_ID = re.compile(r"[0-9a-f]{32}")
_KEYS = "exchange.keys"
_RECEIPT = "exchange.receipt"
_REQUEST = "exchange.request"
_NO_TRANSPORTS: Final[Mapping[str, Secret]] = {}


@dataclass(frozen=True, slots=True)
class _Transport:
    """A key that wraps others on their way, and what an external key made of it."""

    key: Secret
    wrapped: bytes


# --- the target's side -------------------------------------------------------------------------


def make_request(
    tx: Connection,
    hierarchy: Hierarchy,
    peer: Peer,
    spec_ids: list[str],
    *,
    clone_id: str | None,
    rekey: bool,
    actor: str,
) -> Fields:
    """Write a pending request for the keys of some specifications of a paired source.

    `rekey` says whether values are to be moved to this instance's own keys once these are here.
    """
    request_id = new_id()
    document = {
        "request_id": request_id,
        "frequency": Frequency.ONE_TIME_CLONE.value,
        "source": peer.instance_id,
        "source_fingerprint": peer.identity.fingerprint,
        "target": hierarchy.instance_id,
        "specifications": sorted(spec_ids),
        "suite": seal.SUITE_NAME,
        "sealing_key": base64.b64encode(seal.public_of(hierarchy.sealing)).decode(),
        "nonce": os.urandom(16).hex(),
        "clone_id": clone_id,
        "expires": clock.after(REQUEST_SECONDS),
        "external": _references(tx, hierarchy, spec_ids),
    }
    _insert(tx, hierarchy, Side.TARGET, peer.instance_id, document, rekey=rekey)
    log.record(tx, actor, "exchange.request", request_id, source=peer.instance_id)
    return get(tx, hierarchy, request_id)


def obtain(
    database: Database,
    hierarchy: Hierarchy,
    channel: PeerChannel,
    request_id: str,
    guard: Callable[[Connection], None],
) -> Fields:
    """Ask the source, import what it grants, and send the receipt. Can be repeated at any point.

    A request that the source's policy does not grant stays pending on both sides. Every write
    transaction asks `guard` first, which refuses when somebody else does this now.
    """
    with database.snapshot() as tx:
        request = get(tx, hierarchy, request_id)
        if request["side"] != Side.TARGET:
            raise NotFound("exchange.missing", request=request_id)
        peer = peers.by_id(tx, hierarchy, request["peer_id"])
    if request["status"] in (Status.PENDING, Status.APPROVED):
        answer = channel.send(peer, _REQUEST, {"document": json.loads(request["document"])})
        transports = _opened_transports(database, hierarchy, peer, request, answer)
        with database.transaction() as tx:
            guard(tx)
            request = _take_answer(tx, hierarchy, peer, request_id, answer, transports)
    if request["status"] == Status.IMPORTED:
        channel.send(peer, _RECEIPT, {"receipt": json.loads(request["receipt"])})
        with database.transaction() as tx:
            guard(tx)
            request = _advance(tx, hierarchy, get(tx, hierarchy, request_id), Action.COMPLETE)
            log.record(tx, peer.instance_id, "exchange.complete", request_id)
    return request


def import_bundle(
    tx: Connection,
    hierarchy: Hierarchy,
    peer: Peer,
    request_id: str,
    bundle: Any,
    transports: Mapping[str, Secret] = _NO_TRANSPORTS,
) -> Fields:
    """Import the keys of a bundle, consume the request's nonce and write the receipt.

    `transports` has the opened transport key of each external key, by its reference.

    Raises:
        Tampered, Denied, Conflict: naming the step that refused; nothing is imported.
    """
    claims = _claims(hierarchy, peer, bundle)  # step 1
    request = get(tx, hierarchy, request_id)
    document = json.loads(request["document"])
    if claims.get("request_hash") != request["request_hash"]:  # step 2
        raise _refused(request_id, "they answer another request")
    waiting = request["status"] in (Status.PENDING, Status.APPROVED)
    if request["side"] != Side.TARGET or not waiting:  # step 3
        raise _refused(request_id, "this request's keys were imported before")
    if document["expires"] <= clock.now():  # step 4
        raise _refused(request_id, "the request has expired")
    info = seal_info(request["request_hash"])
    try:  # step 5
        sealed = base64.b64decode(str(claims.get("sealed")), validate=True)
        opened = seal.unseal(hierarchy.sealing, sealed, info)
    except (Tampered, ValueError):
        raise _refused(request_id, "they are sealed to another receiver or request") from None
    received = _unpacked(opened)
    asked = set(document["specifications"])
    if (
        received is None
        or len(received) != claims.get("key_count")
        or len({key_id for key_id, _, _ in received}) != len(received)
        or any(spec_id not in asked for _, spec_id, _ in received)
    ):
        raise _refused(request_id, "they are not the keys that were asked for")  # step 6
    asked_under = document.get("external", {})
    now_under = _references(tx, hierarchy, document["specifications"])
    for key_id, spec_id, material in received:
        keys.specification_of(tx, hierarchy, spec_id)
        secret = Secret(material)
        if len(material) != KEY_SIZE:  # step 7
            if asked_under.get(spec_id) != now_under[spec_id]:
                raise _refused(request_id, "the module is under another external key by now")
            place = transport_place(request["request_hash"], key_id, spec_id)
            unwrapped = _unwrapped(transports.get(now_under[spec_id] or ""), material, place)
            if unwrapped is None:
                raise _refused(request_id, "their transport key does not open them")
            secret = unwrapped
        keys.import_key(
            tx,
            hierarchy,
            key_id=key_id,
            spec_id=spec_id,
            secret=secret,
            source_instance=peer.instance_id,
        )
    receipt = sign.sign(
        hierarchy.signing,
        purpose=_RECEIPT,
        sender=hierarchy.instance_id,
        audience=peer.instance_id,
        lifetime_seconds=RECEIPT_SECONDS,
        claims={"request_hash": request["request_hash"], "imported_key_count": len(received)},
    )
    if request["status"] == Status.PENDING:
        request = _advance(tx, hierarchy, request, Action.APPROVE)
    request = _advance(
        tx,
        hierarchy,
        request,
        Action.IMPORT,
        total_key_count=len(received),
        moved_key_count=len(received),
        receipt=json.dumps(receipt),
    )
    log.record(tx, peer.instance_id, "exchange.import", request_id, keys=len(received))
    return request


def _unpacked(opened: Secret) -> list[tuple[str, str, bytes]] | None:
    """Key id, specification and bytes of each key in a bundle; None if it holds anything else."""
    try:
        received = msgspec.msgpack.decode(opened.reveal(REVEAL), type=list[tuple[str, str, bytes]])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    fitting = all(
        _KEY_ID.fullmatch(key_id) and len(material) in (KEY_SIZE, wrap.WRAPPED_KEY_SIZE)
        for key_id, _, material in received
    )
    return received if fitting else None


def _claims(hierarchy: Hierarchy, peer: Peer, bundle: Any) -> dict[str, Any]:
    return sign.verify(
        peer.identity.signing,
        bundle,
        purpose=_KEYS,
        sender=peer.instance_id,
        audience=hierarchy.instance_id,
    )


def _unwrapped(transport: Secret | None, material: bytes, place: tuple[str, ...]) -> Secret | None:
    """A key out of what a transport key wrapped; None when it does not open to one."""
    if transport is None:
        return None
    try:
        return wrap.unwrap(transport, material, *place)
    except Tampered:
        return None


def _opened_transports(
    database: Database,
    hierarchy: Hierarchy,
    peer: Peer,
    request: Fields,
    answer: Mapping[str, Any],
) -> dict[str, Secret]:
    """The transport keys of a bundle, opened by this instance's own providers.

    The external keys under which keys are to be stored are opened too, so that no provider is
    asked within the transaction that imports them.

    Raises:
        Denied, Unavailable: when an external key may not be used, or does not open its part.
        Tampered: when the bundle is not the peer's.
    """
    if "bundle" not in answer:
        return {}
    given = _claims(hierarchy, peer, answer["bundle"]).get("transports")
    document = json.loads(request["document"])
    with database.snapshot() as tx:
        of_specs = standing.of_specifications(tx, hierarchy)
        chosen = [of_specs[spec] for spec in document["specifications"] if spec in of_specs]
        for configuration in chosen:
            hierarchy.ekeks.open(tx, hierarchy.ekeks.current(tx, configuration["sys_id"]))
    by_reference = {str(configuration["reference"]): configuration for configuration in chosen}
    opened = {}
    for reference in by_reference.keys() & set(document.get("external", {}).values()):
        wrapped = _bytes(given.get(reference) if isinstance(given, dict) else None)
        if wrapped:
            opened[reference] = hierarchy.ekeks.unwrap_transport(
                by_reference[reference], wrapped, transport_context(document)
            )
    return opened


def _bytes(text: Any) -> bytes:
    """Bytes out of what a peer sent; none where it is not in the form of any."""
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        return b""


def _take_answer(
    tx: Connection,
    hierarchy: Hierarchy,
    peer: Peer,
    request_id: str,
    answer: Mapping[str, Any],
    transports: Mapping[str, Secret],
) -> Fields:
    request = get(tx, hierarchy, request_id)
    if answer.get("status") == Status.EXPIRED:
        return _advance(tx, hierarchy, request, Action.EXPIRE)
    if "bundle" in answer:
        return import_bundle(tx, hierarchy, peer, request_id, answer["bundle"], transports)
    total = answer.get("total_key_count")
    if not isinstance(total, int) or not 0 <= total < _MOST_KEYS:
        raise Unavailable("peer.answer", peer=peer.identity.name)
    if total != request["total_key_count"]:
        return hierarchy.integrity.update(
            tx, REQUESTS, request, "the request", total_key_count=total, updated_at=clock.now()
        )
    return request


# --- the source's side -------------------------------------------------------------------------


def handlers(database: Database, hierarchy: Hierarchy, fingerprint: str) -> dict[str, Handler]:
    """What this instance, which has that fingerprint, answers to peers about exchanges."""

    def on_request(peer: Peer, body: dict[str, Any]) -> Body:
        document = _checked_document(hierarchy, fingerprint, peer, body.get("document"))
        transports = _prepared_transports(database, hierarchy, peer, document)
        with database.transaction() as tx:
            return _answer_request(tx, hierarchy, peer, document, transports)

    def on_receipt(peer: Peer, body: dict[str, Any]) -> Body:
        with database.transaction() as tx:
            return _take_receipt(tx, hierarchy, peer, body.get("receipt"))

    return {_REQUEST: on_request, _RECEIPT: on_receipt}


def _answer_request(
    tx: Connection,
    hierarchy: Hierarchy,
    peer: Peer,
    document: dict[str, Any],
    transports: Mapping[str, _Transport],
) -> Body:
    request_id = document["request_id"]
    try:
        request = get(tx, hierarchy, request_id)
    except NotFound:
        total = sum(
            len(keys.openable(tx, hierarchy, spec_id)) for spec_id in document["specifications"]
        )
        _insert(tx, hierarchy, Side.SOURCE, peer.instance_id, document, total=total)
        log.record(tx, peer.instance_id, "exchange.receive", request_id, keys=total)
        request = get(tx, hierarchy, request_id)
    own = request["side"] == Side.SOURCE and request["peer_id"] == peer.instance_id
    if not own or request["request_hash"] != request_hash(document):
        raise _refused(request_id, "another request has this id")
    if request["status"] == Status.PENDING and document["expires"] <= clock.now():
        request = _advance(tx, hierarchy, request, Action.EXPIRE)
    if request["status"] == Status.PENDING:
        request = _approve_by_policy(tx, hierarchy, peer, request, document, transports)
    answer = {"status": request["status"], "total_key_count": request["total_key_count"]}
    if request["bundle"] is not None:
        answer["bundle"] = json.loads(request["bundle"])
    return answer


def _granting(
    tx: Connection, hierarchy: Hierarchy, peer: Peer, document: dict[str, Any]
) -> list[Fields]:
    """The policies that grant a request; none unless they grant all of it."""
    return access.exchange_policies(
        tx,
        hierarchy.integrity,
        document["specifications"],
        peer.instance_id,
        peer.identity.fingerprint,
        document["clone_id"],
    )


def _prepared_transports(
    database: Database, hierarchy: Hierarchy, peer: Peer, document: dict[str, Any]
) -> dict[str, _Transport]:
    """A transport key for each external key under which keys are to leave, by its reference.

    Made before the transaction that seals keys, in which no provider is asked: the external keys
    that wrap these are opened here too. Nobody's provider is asked for what no policy grants.

    Raises:
        Denied: when a key is not under the external key that the request names.
        Denied, Unavailable: when an external key may not be used now.
    """
    with database.snapshot() as tx:
        found = hierarchy.integrity.all(tx, REQUESTS, REQUESTS.c.sys_id == document["request_id"])
        policies = _granting(tx, hierarchy, peer, document)
        if not policies or any(row["status"] != Status.PENDING for row in found):
            return {}
        leaving = _leaving(tx, hierarchy, document, policies)
        of_specs = standing.of_specifications(tx, hierarchy)
        configurations = {ref: of_specs[row["spec_id"]] for row, ref in leaving if ref is not None}
        for row, _ in leaving:
            _opened(tx, hierarchy, row)
    made = {}
    for reference, configuration in configurations.items():
        key = wrap.new_key()
        context = transport_context(document)
        try:
            wrapped = hierarchy.ekeks.wrap_transport(configuration, key, context)
        except (Denied, Unavailable) as dark:
            raise type(dark)("exchange.dark") from None
        made[reference] = _Transport(key, wrapped)
    return made


def _approve_by_policy(
    tx: Connection,
    hierarchy: Hierarchy,
    peer: Peer,
    request: Fields,
    document: dict[str, Any],
    transports: Mapping[str, _Transport],
) -> Fields:
    """Approve, seal the keys and consume the one-time policies, all in this transaction."""
    policies = _granting(tx, hierarchy, peer, document)
    if not policies:
        return request
    leaving = _leaving(tx, hierarchy, document, policies)
    access.consume(tx, hierarchy.integrity, policies)
    held = [
        (row["sys_id"], row["spec_id"], _packed(tx, hierarchy, request, row, reference, transports))
        for row, reference in leaving
    ]
    used = {reference for _, reference in leaving if reference is not None}
    packed = Secret(msgspec.msgpack.encode(held))
    sealed = seal.seal(peer.identity.sealing, packed, seal_info(request["request_hash"]))
    bundle = sign.sign(
        hierarchy.signing,
        purpose=_KEYS,
        sender=hierarchy.instance_id,
        audience=peer.instance_id,
        lifetime_seconds=REQUEST_SECONDS,
        claims={
            "request_hash": request["request_hash"],
            "key_count": len(held),
            "sealed": base64.b64encode(sealed).decode(),
            "transports": {
                reference: base64.b64encode(transports[reference].wrapped).decode()
                for reference in sorted(used)
            },
        },
    )
    log.record(tx, "policy", "exchange.approve", request["sys_id"], keys=len(held))
    return _advance(
        tx,
        hierarchy,
        request,
        Action.APPROVE,
        total_key_count=len(held),
        bundle=json.dumps(bundle),
    )


def _take_receipt(tx: Connection, hierarchy: Hierarchy, peer: Peer, receipt: Any) -> Body:
    claims = sign.verify(
        peer.identity.signing,
        receipt,
        purpose=_RECEIPT,
        sender=peer.instance_id,
        audience=hierarchy.instance_id,
    )
    condition = (REQUESTS.c.request_hash == claims.get("request_hash")) & (
        (REQUESTS.c.peer_id == peer.instance_id) & (REQUESTS.c.side == Side.SOURCE)
    )
    missing = NotFound("exchange.missing", request="of that receipt")
    request = hierarchy.integrity.one(tx, REQUESTS, missing, condition)
    if request["status"] == Status.COMPLETE:
        return {"status": request["status"]}
    if claims.get("imported_key_count") != request["total_key_count"]:
        raise Conflict(
            "exchange.refused", request=request["sys_id"], reason="the receipt counts other keys"
        )
    request = _advance(
        tx,
        hierarchy,
        request,
        Action.COMPLETE,
        moved_key_count=claims["imported_key_count"],
        receipt=json.dumps(receipt),
    )
    log.record(tx, peer.instance_id, "exchange.complete", request["sys_id"])
    return {"status": request["status"]}


def _checked_document(
    hierarchy: Hierarchy, fingerprint: str, peer: Peer, document: Any
) -> dict[str, Any]:
    """A request, if it is from this peer, to this instance, for its own sealing key."""
    try:
        specs = document["specifications"]
        fitting = (
            document["source"] == hierarchy.instance_id
            and document["source_fingerprint"] == fingerprint
            and document["target"] == peer.instance_id
            and document["suite"] == seal.SUITE_NAME
            and base64.b64decode(document["sealing_key"], validate=True) == peer.identity.sealing
            and document["frequency"] == Frequency.ONE_TIME_CLONE
            and all(isinstance(document[name], str) for name in ("request_id", "nonce", "expires"))
            and isinstance(specs, list)
            and bool(specs)
            and all(isinstance(spec, str) for spec in specs)
            and specs == sorted(set(specs))
            and clock.parse(document["expires"]) <= clock.parse(clock.after(_LATEST_SECONDS))
            and (document["clone_id"] is None or isinstance(document["clone_id"], str))
            and _are_references(document.get("external", {}))
        )
    except (KeyError, TypeError, ValueError):
        fitting = False
    if not fitting:
        raise Denied(
            "exchange.refused", request="received", reason="it does not fit the pair of instances"
        )
    return dict(document)


def _leaving(
    tx: Connection, hierarchy: Hierarchy, document: dict[str, Any], policies: list[Fields]
) -> list[tuple[Fields, str | None]]:
    """The granted keys, each with the reference of the external key that it is under, if any.

    Raises:
        Denied: when one is under an external key, and the request's module under none or another:
            a copy would escape its revocation.
    """
    granted = {key_id for policy in policies for key_id in json.loads(policy["key_ids"])}
    asked_under = document.get("external", {})
    references = standing.references(tx, hierarchy)
    found: list[tuple[Fields, str | None]] = []
    for spec_id in document["specifications"]:
        for row in keys.keys_of(tx, hierarchy, spec_id):
            if row["sys_id"] not in granted or not keys.can_open(row):
                continue
            under = references[row["sys_id"]]
            if under and under != {asked_under.get(spec_id)}:
                raise Denied("exchange.external", key=row["sys_id"])
            found.append((row, asked_under.get(spec_id) if under else None))
    return found


def _opened(tx: Connection, hierarchy: Hierarchy, row: Fields) -> Secret:
    """A key that is to leave; to the peer no more is said of an external key than that it is dark.

    Raises:
        Denied, Unavailable: when it is.
    """
    try:
        return keys.open_key(tx, hierarchy, row)
    except (Denied, Unavailable) as dark:
        raise type(dark)("exchange.dark") from None


def _packed(
    tx: Connection,
    hierarchy: Hierarchy,
    request: Fields,
    row: Fields,
    reference: str | None,
    transports: Mapping[str, _Transport],
) -> bytes:
    """A key as it leaves: bare within the seal, or (under an external key) wrapped once more."""
    secret = _opened(tx, hierarchy, row)
    if reference is None:
        return secret.reveal(REVEAL)
    if reference not in transports:
        raise Unavailable("exchange.changed", request=request["sys_id"])
    place = transport_place(request["request_hash"], row["sys_id"], row["spec_id"])
    return wrap.wrap(transports[reference].key, secret, *place)


def _are_references(external: Any) -> bool:
    """Whether that says of specifications which external key each is under, or none."""
    return isinstance(external, dict) and all(
        reference is None or isinstance(reference, str) for reference in external.values()
    )


# --- both sides --------------------------------------------------------------------------------


def _references(tx: Connection, hierarchy: Hierarchy, spec_ids: list[str]) -> dict[str, str | None]:
    """The external key that the module of each specification is under; None for none."""
    of_specs = standing.of_specifications(tx, hierarchy)
    return {
        spec_id: str(of_specs[spec_id]["reference"]) if spec_id in of_specs else None
        for spec_id in spec_ids
    }


def get(tx: Connection, hierarchy: Hierarchy, request_id: str) -> Fields:
    """The request with that id.

    Raises:
        NotFound: when there is none.
    """
    missing = NotFound("exchange.missing", request=request_id)
    return hierarchy.integrity.one(tx, REQUESTS, missing, REQUESTS.c.sys_id == request_id)


def listed(tx: Connection, hierarchy: Hierarchy) -> list[Fields]:
    """Every request, oldest first."""
    return hierarchy.integrity.all(tx, REQUESTS)


def holders(tx: Connection, hierarchy: Hierarchy, spec_ids: set[str]) -> tuple[str, ...]:
    """The instances that were given keys of these specifications, by name or (gone) by id."""
    given = {
        str(request["peer_id"])
        for request in listed(tx, hierarchy)
        if request["side"] == Side.SOURCE
        and request["bundle"] is not None
        and spec_ids & set(json.loads(request["document"])["specifications"])
    }
    names = peers.names(tx, hierarchy)
    return tuple(sorted(names.get(peer_id, peer_id) for peer_id in given))


def expire_open(tx: Connection, hierarchy: Hierarchy, actor: str) -> int:
    """Let every request expire whose keys are not here yet; how many there were."""
    requests = listed(tx, hierarchy)
    waiting = [r for r in requests if r["status"] in (Status.PENDING, Status.APPROVED)]
    for request in waiting:
        _advance(tx, hierarchy, request, Action.EXPIRE)
        log.record(tx, actor, "exchange.expire", request["sys_id"])
    return len(waiting)


def _insert(
    tx: Connection,
    hierarchy: Hierarchy,
    side: Side,
    peer_id: str,
    document: dict[str, Any],
    *,
    total: int = 0,
    rekey: bool = False,
) -> None:
    moment = clock.now()
    hierarchy.integrity.insert(
        tx,
        REQUESTS,
        sys_id=document["request_id"],
        side=side,
        peer_id=peer_id,
        frequency=document["frequency"],
        status=Status.PENDING,
        document=json.dumps(document),
        request_hash=request_hash(document),
        clone_id=document["clone_id"],
        total_key_count=total,
        moved_key_count=0,
        rekey=int(rekey),
        created_at=moment,
        updated_at=moment,
    )


def _advance(
    tx: Connection,
    hierarchy: Hierarchy,
    request: Fields,
    action: Action,
    **fields: str | int | None,
) -> Fields:
    status = next_status(request["sys_id"], Status(request["status"]), action)
    return hierarchy.integrity.update(
        tx, REQUESTS, request, "the request", status=status, updated_at=clock.now(), **fields
    )


def _refused(request_id: str, reason: str) -> KeysteadError:
    return Denied("exchange.refused", request=request_id, reason=reason)
