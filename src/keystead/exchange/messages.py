"""Signed messages between paired instances: framing, verification, replay protection, answers.

A frame is the length of the signed header (4 bytes, big-endian), the header (DSSE, JSON), and the
body (MessagePack). The header's claims cover the body by its SHA-256, and name a message id that is
accepted once. Receiving, step by step:

1. the frame is whole and the header is JSON
2. the sender that the header names is paired
3. the signature is the sender's, for this purpose and this instance, and in time (`crypto.sign`)
4. the body is the one that was signed
5. the message id was never seen
6. the purpose has a handler; its answer, or its refusal, is signed and names the message it answers
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import IntegrityError

from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import FAMILIES, Denied, Invalid, KeysteadError, NotFound, Tampered
from keystead.base.ids import is_id, new_id
from keystead.crypto import sign
from keystead.database.port import Database
from keystead.database.schema import OnClone, indexed, own_table, text
from keystead.exchange import peers
from keystead.exchange.peers import Peer
from keystead.keys.hierarchy import Hierarchy

# sys_id is the message id; the primary key is what makes a replay fail
SEEN_MESSAGES = own_table(
    "keystead_seen_message",
    OnClone.KEEP,
    text("expires"),
    indexed("keystead_seen_message", "expires"),
)

LIFETIME_SECONDS: Final = 300
_LENGTH = 4
_LONGEST_HEADER = 64 * 1024
Body = Mapping[str, Any]
Handler = Callable[[Peer, dict[str, Any]], Body]


def compose(
    hierarchy: Hierarchy, audience: str, purpose: str, body: Body, answers: str | None = None
) -> tuple[bytes, str]:
    """A signed frame for one receiver, and its message id."""
    message_id = new_id()
    packed = msgspec.msgpack.encode(body)
    header = sign.sign(
        hierarchy.signing,
        purpose=purpose,
        sender=hierarchy.instance_id,
        audience=audience,
        lifetime_seconds=LIFETIME_SECONDS,
        claims={"message_id": message_id, "body_sha256": sign.digest(packed), "answers": answers},
    )
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(_LENGTH, "big") + encoded + packed, message_id


def receive(
    database: Database, hierarchy: Hierarchy, handlers: Mapping[str, Handler], frame: bytes
) -> bytes:
    """Handle one message from a peer and compose the answer.

    Raises:
        Denied: when the message is not to be answered at all; the reason is in the audit log.
    """
    try:
        peer, purpose, message_id, body = _accept(database, hierarchy, frame)
    except Exception as error:
        reason = error.what if isinstance(error, KeysteadError) else type(error).__name__
        with database.transaction() as tx:
            code = error.code if isinstance(error, KeysteadError) else "unexpected"
            log.record(tx, "peer", "message.refuse", code, reason=reason)
        raise Denied("message.denied") from None
    try:
        handler = handlers.get(purpose)
        if handler is None:
            raise Invalid("message.invalid", reason="its purpose is unknown here")
        answer: Body = {"ok": True, "body": _handled(handler, peer, body)}
    except KeysteadError as error:
        with database.transaction() as tx:
            log.record(tx, peer.instance_id, "message.refuse", error.code, reason=error.what)
        answer = {"ok": False, "family": error.family, "what": error.what, "todo": error.todo}
    reply, _ = compose(hierarchy, peer.instance_id, f"{purpose}.answer", answer, message_id)
    return reply


def read_answer(
    hierarchy: Hierarchy, peer: Peer, purpose: str, message_id: str, frame: bytes
) -> dict[str, Any]:
    """The body of a peer's answer to one message.

    Raises:
        Tampered: when it is not the peer's signed answer to that message.
        KeysteadError: of the peer's family, when the peer refused.
    """
    header, packed = _split(frame)
    claims = sign.verify(
        peer.identity.signing,
        header,
        purpose=f"{purpose}.answer",
        sender=peer.instance_id,
        audience=hierarchy.instance_id,
    )
    if claims.get("answers") != message_id:
        raise Tampered("signature.invalid", what="answer", reason="it answers another message")
    answer = _body(claims, packed)
    if answer.get("ok") is True:
        if not isinstance(answer.get("body"), dict):
            raise Invalid("message.invalid", reason="its answer has no body")
        return dict(answer["body"])
    family = FAMILIES.get(str(answer.get("family")), Invalid)
    raise family(
        "peer.refused",
        peer=peer.identity.name,
        reason=answer.get("what", "no reason was given"),
        advice=answer.get("todo", ""),
    )


def _accept(
    database: Database, hierarchy: Hierarchy, frame: bytes
) -> tuple[Peer, str, str, dict[str, Any]]:
    header, packed = _split(frame)  # step 1
    named = _unverified(header)
    purpose = str(named.get("purpose"))
    if not (purpose.isascii() and purpose.isprintable()):
        raise Invalid("message.invalid", reason="its purpose is not a name")
    with database.snapshot() as tx:
        try:
            peer = peers.by_id(tx, hierarchy, str(named.get("sender")))  # step 2
        except NotFound:
            named_id = str(named.get("sender"))
            sender = named_id if is_id(named_id) else "of no usable id"
            raise Denied("message.sender", sender=sender) from None
    claims = sign.verify(  # step 3
        peer.identity.signing,
        header,
        purpose=purpose,
        sender=peer.instance_id,
        audience=hierarchy.instance_id,
    )
    body = _body(claims, packed)  # step 4
    message_id = str(claims["message_id"])
    with database.transaction() as tx:
        _note_seen(tx, message_id, str(claims["expires"]))  # step 5
    return peer, purpose, message_id, body


def _handled(handler: Handler, peer: Peer, body: dict[str, Any]) -> Body:
    """A handler's answer; a body that is not of its form is refused like any other bad input."""
    try:
        return handler(peer, body)
    except Exception as error:
        if isinstance(error, KeysteadError):
            raise
        raise Invalid("message.invalid", reason="its body is not of the expected form") from None


def _note_seen(tx: Connection, message_id: str, expires: str) -> None:
    long_expired = clock.after(-2 * sign.CLOCK_SKEW_SECONDS)
    tx.execute(delete(SEEN_MESSAGES).where(SEEN_MESSAGES.c.expires < long_expired))
    try:
        tx.execute(insert(SEEN_MESSAGES).values(sys_id=message_id, expires=expires))
    except IntegrityError:
        raise Tampered(
            "signature.invalid", what="message", reason="it was received before"
        ) from None


def _split(frame: bytes) -> tuple[Any, bytes]:
    length = int.from_bytes(frame[:_LENGTH], "big")
    if len(frame) < _LENGTH + length or length > _LONGEST_HEADER:
        raise Invalid("message.invalid", reason="it is cut short")
    try:
        return json.loads(frame[_LENGTH : _LENGTH + length]), frame[_LENGTH + length :]
    except (ValueError, RecursionError):
        raise Invalid("message.invalid", reason="its header is not JSON") from None


def _unverified(header: Any) -> dict[str, Any]:
    try:
        claims = json.loads(base64.b64decode(header["payload"], validate=True))
    except (KeyError, TypeError, ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise Invalid("message.invalid", reason="its header has no claims")
    return claims


def _body(claims: Mapping[str, Any], packed: bytes) -> dict[str, Any]:
    if claims.get("body_sha256") != sign.digest(packed):
        raise Tampered("signature.invalid", what="message", reason="its body was changed")
    try:
        body = msgspec.msgpack.decode(packed)
    except (msgspec.DecodeError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Invalid("message.invalid", reason="its body cannot be read")
    return body
