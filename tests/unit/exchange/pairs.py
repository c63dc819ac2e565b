"""Three instances in one process, paired with each other, and the channel between them."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import event

from keystead.access import exchange_policies as access
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.audit import log
from keystead.base import clock
from keystead.base.errors import Denied, KeysteadError, Unavailable
from keystead.base.secret import Secret
from keystead.clone import target
from keystead.crypto import seal, sign
from keystead.crypto.envelope import Scheme
from keystead.database.integrity import Fields
from keystead.database.port import Database
from keystead.exchange import messages, peers, service
from keystead.exchange.identity import Identity, own_identity
from keystead.exchange.messages import Handler
from keystead.exchange.model import seal_info
from keystead.exchange.peers import Peer
from keystead.external.provider import OpenProvider
from keystead.instance import opening
from keystead.instance.home import Home
from keystead.instance.opening import Instance
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy
from keystead.keys.tables import MODULES

ACTOR = "admin"
NAMES = ("prod", "test", "third")
KEY_TABLE = "sys_kmf_module_key"
# what receiving a message always adds to, whatever becomes of it
RECEIPTS_OF_MESSAGES = (
    *("keystead_audit", "keystead_audit_node", "keystead_seen_message"),
    "sqlite_sequence",
)
HELD = list[tuple[str, str, bytes]]


def connect(home: Home) -> Database:
    """The instance's own database; only it does not wait for the disk, which no test unplugs."""
    database = SqliteDatabase(home.database_file)
    event.listen(
        database._engine, "connect", lambda raw, _record: raw.execute("PRAGMA synchronous = OFF")
    )
    return database


class Refused(Exception):
    """A database does not take a value into a column."""


class Past:
    """A database as somebody reaches it who goes past all of Keystead."""

    def sql(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """What a statement finds; its values are marked by `?`."""
        raise NotImplementedError

    def tables(self) -> list[str]:
        """The names of all tables."""
        raise NotImplementedError

    def remove_one(self, table: str, key: str, value: object) -> None:
        """Remove one of several rows that have this value."""
        raise NotImplementedError

    def spoil(self, table: str, column: str) -> None:
        """Put bytes that are no text into a column of every row."""
        raise NotImplementedError

    def keep(self) -> None:
        """Remember all that is in it."""
        raise NotImplementedError

    def restore(self) -> None:
        """Put back what was kept."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class File(Past):
    """The file of an instance on SQLite."""

    def __init__(self, home: Home) -> None:
        self._raw = sqlite3.connect(home.database_file, isolation_level=None)
        self._kept = sqlite3.connect(":memory:")

    def sql(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        return self._raw.execute(statement, values).fetchall()

    def tables(self) -> list[str]:
        found = self.sql("SELECT name FROM sqlite_master WHERE type = 'table'", ())
        return [name for (name,) in found]

    def remove_one(self, table: str, key: str, value: object) -> None:
        one = f'(SELECT max(rowid) FROM "{table}" WHERE {key} = ?)'
        self.sql(f'DELETE FROM "{table}" WHERE rowid = {one}', (value,))

    def spoil(self, table: str, column: str) -> None:
        self.sql(f'UPDATE "{table}" SET "{column}" = CAST(x\'ff\' AS TEXT)', ())

    def keep(self) -> None:
        self._raw.backup(self._kept)

    def restore(self) -> None:
        self._kept.backup(self._raw)

    def close(self) -> None:
        self._raw.close()
        self._kept.close()


class Node:
    """One instance: its database, its keys, and what it answers to its peers."""

    def __init__(self, instance: Instance, past: Past) -> None:
        self.instance = instance
        self.db = instance.database
        self.hierarchy: Hierarchy = instance.hierarchy
        self.id = instance.settings.instance_id
        self.past = past
        self.handlers: dict[str, Handler] = self._honest_handlers()

    def _honest_handlers(self) -> dict[str, Handler]:
        return {
            **service.handlers(self.db, self.hierarchy, self.identity.fingerprint),
            **target.handlers(self.db, self.hierarchy),
        }

    def keep(self) -> None:
        self.past.keep()
        self._heads = self.instance.home.heads_file.read_bytes()

    def restore(self) -> None:
        self.handlers = self._honest_handlers()
        self.past.restore()
        self.instance.home.heads_file.write_bytes(self._heads)

    @property
    def identity(self) -> Identity:
        return own_identity(self.hierarchy, self.instance.settings.name, self.instance.certificate)

    def peer(self, other: Node) -> Peer:
        with self.db.snapshot() as tx:
            return peers.by_id(tx, self.hierarchy, other.id)

    def pair(self, other: Node) -> Peer:
        shown = other.identity
        with self.db.transaction() as tx:
            return peers.pair(tx, self.hierarchy, shown, url_of(shown), shown.fingerprint, ACTOR)

    def unpair(self, other: Node) -> None:
        with self.db.transaction() as tx:
            peers.unpair(tx, self.hierarchy, other.id, ACTOR)

    def receive(self, frame: bytes, handlers: Mapping[str, Handler] | None = None) -> bytes:
        answering = self.handlers if handlers is None else handlers
        return messages.receive(self.db, self.hierarchy, answering, frame)

    def answer_with(self, purpose: str, answer: Mapping[str, Any]) -> None:
        """From now on this instance gives that very answer, signed, whatever it is asked."""
        self.handlers[purpose] = lambda _peer, _body: dict(answer)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What a statement finds in the database, past all of Keystead."""
        return self.past.sql(statement, values)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        return sorted(self.sql(f'SELECT * FROM "{table}"'), key=repr)

    def tables(self) -> list[str]:
        return self.past.tables()

    def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table but those that each received message adds to."""
        return {n: self.rows(n) for n in self.tables() if n not in RECEIPTS_OF_MESSAGES}

    def audit(self, limit: int = 10) -> list[dict[str, Any]]:
        """The audit log, newest first."""
        with self.db.snapshot() as tx:
            return log.entries(tx, limit)

    def audit_length(self) -> int:
        ((length,),) = self.sql("SELECT count(*) FROM keystead_audit")
        return int(length)

    def close(self) -> None:
        self.past.close()
        self.db.close()

    def request(self, request_id: str) -> Fields:
        with self.db.snapshot() as tx:
            return service.get(tx, self.hierarchy, request_id)

    def key_rows(self) -> list[Fields]:
        with self.db.snapshot() as tx:
            return keys.all_keys(tx, self.hierarchy)


class Site:
    """Where an instance has its database, and who goes past it: here a file of its own."""

    open_provider: OpenProvider = staticmethod(opening.no_provider)

    def connect(self, home: Home) -> Database:
        return connect(home)

    def past(self, home: Home) -> Past:
        return File(home)

    def open(self, folder: Path) -> Node:
        instance = opening.open_instance(folder, self.connect, self.open_provider)
        return Node(instance, self.past(instance.home))


def url_of(identity: Identity) -> str:
    return f"https://{identity.name}.example:8420"


class Network:
    """The instances by name, and channels between them."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self.nodes = nodes
        self.by_id = {node.id: node for node in self.nodes.values()}
        self.prod, self.test, self.third = (self.nodes[name] for name in NAMES)

    def channel(self, owner: Node) -> MemoryChannel:
        return MemoryChannel(owner, self.by_id)

    def keep(self) -> None:
        """Remember what is in every instance now."""
        for node in self.nodes.values():
            node.keep()

    def restore(self) -> None:
        """Put every instance back to what was kept, whatever happened to it since."""
        for node in self.nodes.values():
            node.restore()

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


class MemoryChannel:
    """Signed messages to the instances of a network, as `PeerChannel` has it; nothing is faked.

    It keeps every frame it carried. It can lose messages and answers by their number, deliver each
    message twice, and change frames on the way.
    """

    def __init__(self, owner: Node, by_id: Mapping[str, Node]) -> None:
        self._owner = owner
        self._by_id = by_id
        self.sent: list[tuple[str, bytes]] = []
        self.answers: list[bytes] = []
        self.lost_messages: set[int] = set()
        self.lost_answers: set[int] = set()
        self.twice = False
        self.on_message: Callable[[bytes], bytes] = bytes
        self.on_answer: Callable[[bytes], bytes] = bytes
        self.before: Callable[[str], None] = lambda _purpose: None
        self.failure: Callable[[Peer], BaseException] = away

    def send(self, peer: Peer, purpose: str, body: Mapping[str, Any]) -> dict[str, Any]:
        frame, message_id = messages.compose(self._owner.hierarchy, peer.instance_id, purpose, body)
        number = len(self.sent)
        self.sent.append((purpose, frame))
        self.before(purpose)
        if number in self.lost_messages:
            raise self.failure(peer)
        answer = self._carry(peer, self.on_message(frame))
        if number in self.lost_answers:
            raise self.failure(peer)
        answer = self.on_answer(answer)
        return messages.read_answer(self._owner.hierarchy, peer, purpose, message_id, answer)

    def fetch_identity(self, url: str) -> Identity:
        for node in self._by_id.values():
            if url_of(node.identity) == url.rstrip("/"):
                return node.identity
        raise Unavailable("peer.nobody", url=url, reason="it is away")

    def _carry(self, peer: Peer, frame: bytes) -> bytes:
        receiver = self._by_id[peer.instance_id]
        try:
            answer = receiver.receive(frame)
        except Denied:
            name = peer.identity.name
            raise Denied("peer.refused", peer=name, reason="denied.", advice="") from None
        if self.twice:
            with pytest.raises(Denied):
                receiver.receive(frame)
        self.answers.append(answer)
        return answer


def away(peer: Peer) -> KeysteadError:
    return Unavailable(
        "peer.unreachable", peer=peer.identity.name, url=peer.url, reason="it is away"
    )


class Killed(BaseException):
    """A process that ends at once, so that nobody handles anything."""


class Clock:
    """The time as all instances see it, standing still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
        monkeypatch.setattr(clock, "now", lambda: self.after(0))
        monkeypatch.setattr(clock, "after", self.after)

    def after(self, seconds: float) -> str:
        moment = self.moment + timedelta(seconds=seconds)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def move(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


# --- frames and envelopes, taken apart and put together ------------------------------------------


def frame_parts(frame: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(frame[:4], "big")
    return json.loads(frame[4 : 4 + length]), frame[4 + length :]


def frame_of(header: object, packed: bytes) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(encoded).to_bytes(4, "big") + encoded + packed


def claims_of(envelope: Mapping[str, Any] | str) -> dict[str, Any]:
    opened = json.loads(envelope) if isinstance(envelope, str) else envelope
    return json.loads(base64.b64decode(opened["payload"]))


def with_claims(envelope: Mapping[str, Any], **changed: object) -> dict[str, Any]:
    """The envelope with other claims under the old signatures."""
    claims = {**claims_of(envelope), **changed}
    return {**envelope, "payload": base64.b64encode(sign.canonical(claims)).decode()}


def signed(
    signer: Node,
    purpose: str,
    audience: Node,
    claims: Mapping[str, Any],
    *,
    lifetime: int = 3600,
    sender: Node | None = None,
) -> dict[str, Any]:
    return sign.sign(
        signer.hierarchy.signing,
        purpose=purpose,
        sender=(sender or signer).id,
        audience=audience.id,
        lifetime_seconds=lifetime,
        claims=claims,
    )


def bundle_for(
    request: Fields,
    signer: Node,
    audience: Node,
    held: HELD | bytes,
    *,
    purpose: str = "exchange.keys",
    key_count: object = None,
    request_hash: str | None = None,
    sealed_for: Node | None = None,
    sealed_hash: str | None = None,
    sealed: bytes | None = None,
    lifetime: int = 3600,
    sender: Node | None = None,
) -> dict[str, Any]:
    """A bundle as a source makes it, save for what is named."""
    packed = held if isinstance(held, bytes) else msgspec.msgpack.encode(held)
    if sealed is None:
        sealed = seal.seal(
            seal.public_of((sealed_for or audience).hierarchy.sealing),
            Secret(packed),
            seal_info(sealed_hash or request["request_hash"]),
        )
    claims = {
        "request_hash": request_hash or request["request_hash"],
        "key_count": len(held) if key_count is None else key_count,
        "sealed": base64.b64encode(sealed).decode(),
    }
    return signed(signer, purpose, audience, claims, lifetime=lifetime, sender=sender)


# --- exchanges -----------------------------------------------------------------------------------


def make_modules(node: Node) -> dict[str, str]:
    """Two published modules and a draft; the specification of each by name."""
    made = {}
    with node.db.transaction() as tx:
        for name, scheme in (("people", Scheme.STANDARD), ("names", Scheme.EQUALITY)):
            module = keys.create_module(tx, node.hierarchy, name, scheme, ACTOR)
            keys.publish_module(tx, node.hierarchy, name, ACTOR)
            made[name] = keys.specification(tx, node.hierarchy, module["sys_id"])["sys_id"]
        keys.create_module(tx, node.hierarchy, "spare", Scheme.STANDARD, ACTOR)
    return made


def specification(node: Node, module: str) -> str:
    with node.db.snapshot() as tx:
        module_id = keys.module(tx, node.hierarchy, module)["sys_id"]
        return str(keys.specification(tx, node.hierarchy, module_id)["sys_id"])


def copy_modules(source: Node, receiver: Node) -> None:
    """Give the receiver the source's modules and specifications, as a clone does."""

    def bare(rows: list[Fields]) -> list[Fields]:
        return [{k: v for k, v in r.items() if k not in ("revision", "tag")} for r in rows]

    with source.db.snapshot() as tx:
        modules = bare(source.hierarchy.integrity.all(tx, MODULES))
        modules = [{**module, "external_configuration": None} for module in modules]
        specs = bare(keys.all_specifications(tx, source.hierarchy))
    with receiver.db.transaction() as tx:
        keys.restore(tx, receiver.hierarchy, modules, specs)
        for module in modules:
            if module["state"] == "published":
                keys.generate(tx, receiver.hierarchy, module["name"], ACTOR)


def allow(
    source: Node,
    receiver: Node,
    spec_ids: list[str],
    clone_id: str,
    *,
    fingerprint: str | None = None,
) -> None:
    """A policy for each specification, which names the keys that the source has now."""
    with source.db.transaction() as tx:
        for spec_id in spec_ids:
            spec = keys.specification_of(tx, source.hierarchy, spec_id)
            access.allow_exchange(
                tx,
                source.hierarchy.integrity,
                module_id=spec["module_id"],
                spec_id=spec_id,
                target_instance=receiver.id,
                target_fingerprint=fingerprint or receiver.identity.fingerprint,
                key_ids=keys.openable(tx, source.hierarchy, spec_id),
                clone_id=clone_id,
            )


def ask(receiver: Node, source: Node, spec_ids: list[str], clone_id: str | None) -> Fields:
    """A pending request of the receiver, not sent yet."""
    with receiver.db.transaction() as tx:
        peer = peers.by_id(tx, receiver.hierarchy, source.id)
        return service.make_request(
            tx, receiver.hierarchy, peer, spec_ids, clone_id=clone_id, rekey=False, actor=ACTOR
        )


def obtain(net: Network, request: Fields, channel: MemoryChannel | None = None) -> Fields:
    node = next(n for n in net.nodes.values() if n.id == json.loads(request["document"])["target"])
    used = channel or net.channel(node)
    return service.obtain(node.db, node.hierarchy, used, request["sys_id"], lambda _tx: None)


# --- made once, put back for each test -----------------------------------------------------------


@contextmanager
def network(
    folder: Path, fill: Callable[[Network], None], prod: Site | None = None
) -> Iterator[Network]:
    """Three instances paired with each other, filled, and remembered as they are then."""
    sites = {name: Site() for name in NAMES}
    if prod is not None:
        sites["prod"] = prod
    for number, (name, site) in enumerate(sites.items()):
        opening.init(folder / name, name, 8420 + number, site.connect, ACTOR)
    net = Network({name: site.open(folder / name) for name, site in sites.items()})
    try:
        for node in net.nodes.values():
            for other in net.nodes.values():
                if other is not node:
                    node.pair(other)
        fill(net)
        net.keep()
        yield net
    finally:
        net.close()
