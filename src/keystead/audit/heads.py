"""Signed heads: what the audit log and the tagged tables were at one moment.

A head says how many entries the log had, its root hash, and the anchor of each tagged table. It
names the digest of the head before it. Each is one line, a DSSE envelope in canonical form
(`docs/formats/audit.md`), in a file beside the database first and then in a table, so what the file
says is never ahead of what was committed, and a database put back is noticed by the file.

Where several homes work on one database, the table comes first, and each home's file follows it
(`follow`): it takes only heads that are signed and that continue its own.

A database agrees with a head when (`compare`):

1. the log has at least as many entries as the head, and as many hashes as entries
2. the root over the head's entries is the head's
3. no table's anchor has a lower revision than in the head, or another digest at the same revision
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from keystead.audit import log, merkle
from keystead.audit.tables import AUDIT, HEADS
from keystead.base.errors import Tampered
from keystead.base.secret import Secret
from keystead.crypto import sign
from keystead.database.anchors import Anchor, tagged_tables
from keystead.database.integrity import Integrity

PURPOSE: Final = "audit head"
AUDIENCE: Final = "anyone"
NO_HEAD: Final = "0" * 64
_LIFETIME_SECONDS: Final = 100 * 365 * 86_400
_TAIL_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """One signed head, and the line that holds it."""

    number: int
    size: int
    root: str
    state_root: str
    anchors: Mapping[str, Anchor]
    previous: str
    at: str
    line: bytes

    @property
    def digest(self) -> str:
        """What the next head names as its predecessor."""
        return sign.digest(self.line)

    def as_json(self) -> dict[str, Any]:
        """The head as plain data, without its signature."""
        return {
            **{name: getattr(self, name) for name in ("number", "size", "root", "state_root")},
            **{"at": self.at, "previous": self.previous, "digest": self.digest},
            "tables": {name: anchor._asdict() for name, anchor in self.anchors.items()},
        }


@dataclass(frozen=True, slots=True)
class Signer:
    """What heads of one instance are made with."""

    instance_id: str
    signing: Secret
    integrity: Integrity


class HeadFile:
    """The heads of one instance outside its database: appended to, never rewritten."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> Iterator[bytes]:
        """Every whole line, oldest first; one that was cut short while it was written is none."""
        if self.path.exists():
            with self.path.open("rb") as found:
                yield from (line[:-1] for line in found if line.endswith(b"\n"))

    def last(self) -> bytes | None:
        """The newest whole line."""
        if not self.path.exists():
            return None
        with self.path.open("rb") as found:
            found.seek(max(0, self.path.stat().st_size - _TAIL_BYTES))
            whole = found.read().rpartition(b"\n")[0]
        return whole.rpartition(b"\n")[2] or None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from following the table meanwhile."""
        with self.path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def append(self, line: bytes) -> None:
        """Add a line and let it reach the disk; what was cut short before it goes."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(descriptor, "r+b") as out:
            end = out.seek(0, os.SEEK_END)
            start = out.seek(max(0, end - _TAIL_BYTES))
            tail = out.read()
            out.truncate(start + tail.rfind(b"\n") + 1)
            out.seek(0, os.SEEK_END)
            out.write(line + b"\n")
            out.flush()
            os.fsync(out.fileno())


def read(public: bytes, instance_id: str, line: bytes) -> Head:
    """The head in a line.

    Raises:
        Tampered: when it is not one that this instance signed.
    """
    try:
        envelope = json.loads(line)
    except (ValueError, RecursionError):
        envelope = None
    claims = sign.verify(
        public,
        envelope,
        purpose=PURPOSE,
        sender=instance_id,
        audience=AUDIENCE,
        at_any_time=True,
    )
    try:
        head = Head(
            number=int(claims["number"]),
            size=int(claims["size"]),
            root=str(claims["root"]),
            state_root=str(claims["state_root"]),
            anchors={name: Anchor(*found) for name, found in claims["anchors"].items()},
            previous=str(claims["previous"]),
            at=str(claims["issued"]),
            line=line,
        )
        whole = sign.canonical(envelope) == line and state_root(head.anchors) == head.state_root
    except (KeyError, TypeError, ValueError, AttributeError):
        whole = False
    if not whole:
        raise Tampered("signature.invalid", what=PURPOSE, reason="it is not in the expected form")
    return head


def state_root(anchors: Mapping[str, Anchor]) -> str:
    """One digest over the anchors of all tagged tables."""
    return sign.digest(sign.canonical({name: list(anchor) for name, anchor in anchors.items()}))


def listed(tx: Connection, signer: Signer, most: int) -> list[Head]:
    """The newest heads in the table, at most so many, newest first.

    Raises:
        Tampered: at one that this instance did not sign.
    """
    newest = select(HEADS.c.envelope).order_by(HEADS.c.number.desc()).limit(most)
    public = sign.public_of(signer.signing)
    found = tx.execute(newest).scalars()
    return [read(public, signer.instance_id, str(line).encode()) for line in found]


def newest_number(tx: Connection) -> int:
    """The number of the newest head in the table; 0 when there is none."""
    return int(tx.execute(select(func.max(HEADS.c.number))).scalar() or 0)


def newest_size(tx: Connection) -> int:
    """How many entries the newest head in the table covers."""
    return int(tx.execute(select(func.max(HEADS.c.size))).scalar() or 0)


def forget(tx: Connection) -> int:
    """Remove every head from the table; how many there were."""
    return tx.execute(delete(HEADS)).rowcount


def last_of(file: HeadFile, signer: Signer) -> Head | None:
    """The newest head in the file.

    Raises:
        Tampered: when it is not one that this instance signed.
    """
    line = file.last()
    if line is None:
        return None
    return read(sign.public_of(signer.signing), signer.instance_id, line)


def compare(tx: Connection, integrity: Integrity, head: Head) -> None:
    """Refuse a database that does not agree with a head of before; the steps are those above.

    Raises:
        Tampered: naming the first difference.
    """
    differences = disagreements(tx, integrity, head)
    if differences:
        raise Tampered("audit.behind", number=head.number, at=head.at, reason=differences[0])


def disagreements(tx: Connection, integrity: Integrity, head: Head) -> list[str]:
    """What in the database does not agree with a head of before, each in one line.

    Raises:
        Tampered: when an anchor, or a kept hash that is needed, is not as it was written.
    """
    size = log.size(tx)
    newest = int(tx.execute(select(func.max(AUDIT.c.sequence))).scalar() or 0)
    if size < head.size or size != newest:  # step 1
        return [f"the audit log has {newest} entries and {size} hashes, the head {head.size}"]
    found = []
    if merkle.root(log.nodes(tx), head.size).hex() != head.root:  # step 2
        found.append(f"the first {head.size} entries of the audit log are others")
    anchors = integrity.anchors(tx)
    for name, signed in head.anchors.items():  # step 3
        held = anchors.get(name)
        if held is None or held.revision < signed.revision:
            found.append(f"{name} was put back to an earlier state")
        elif held.revision == signed.revision and held.digest != signed.digest:
            found.append(f"{name} has other rows")
    return found


def follow(tx: Connection, signer: Signer, file: HeadFile) -> Head | None:
    """Append to a file that is locked what other homes signed since; the newest head.

    Raises:
        Tampered: when the table lacks the newest head of the file, or has one that was not signed
            or does not follow.
    """
    last = last_of(file, signer)
    number = last.number if last else 0
    newer = select(HEADS.c.envelope).where(HEADS.c.number >= number).order_by(HEADS.c.number)
    lines = [str(line).encode() for line in tx.execute(newer).scalars()]
    if last:
        if lines[:1] != [last.line]:
            raise Tampered("audit.other", file=file.path, number=number)
        del lines[0]
    for line in lines:
        head = read(sign.public_of(signer.signing), signer.instance_id, line)
        number = last.number if last else 0
        if (head.number, head.previous) != (number + 1, last.digest if last else NO_HEAD):
            raise Tampered("audit.chain", number=head.number, before=number)
        file.append(line)
        last = head
    return last


def make(tx: Connection, signer: Signer, file: HeadFile, *, file_follows: bool = False) -> Head:
    """Sign what is there now, unless the newest head says just that; the newest head.

    With `file_follows` it is put into the table alone.

    Raises:
        Tampered: when the tagged tables, the log, the table of heads or the file are not as they
            were written. Nothing is signed then.
    """
    last = last_of(file, signer)
    number = last.number if last else 0
    if newest_number(tx) > number:
        raise Tampered("audit.file", file=file.path, number=newest_number(tx))
    if last:
        compare(tx, signer.integrity, last)
    for table in tagged_tables():
        signer.integrity.check(tx, table)
    size, anchors = log.size(tx), signer.integrity.anchors(tx)
    if last and newest_number(tx) < number:
        _keep(tx, last)
    if last and last.size == size and last.anchors == anchors:
        return last
    claims = {
        "number": number + 1,
        "size": size,
        "root": merkle.root(log.nodes(tx), size).hex(),
        "state_root": state_root(anchors),
        "anchors": {name: list(anchor) for name, anchor in anchors.items()},
        "previous": last.digest if last else NO_HEAD,
    }
    envelope = sign.sign(
        signer.signing,
        purpose=PURPOSE,
        sender=signer.instance_id,
        audience=AUDIENCE,
        lifetime_seconds=_LIFETIME_SECONDS,
        claims=claims,
    )
    line = sign.canonical(envelope)
    head = read(sign.public_of(signer.signing), signer.instance_id, line)
    if not file_follows:
        file.append(line)
    _keep(tx, head)
    return head


def _keep(tx: Connection, head: Head) -> None:
    values = {"number": head.number, "size": head.size, "at": head.at}
    tx.execute(insert(HEADS).values(**values, envelope=head.line.decode()))
