"""Checking a whole audit log: every entry, every kept hash, every head, the tagged tables.

1. every entry is in the form that is written and hashes to the leaf that is kept for it
2. sequences run from 1 without a gap
3. kept hashes are those of the tree over the leaves
4. each head is signed by the instance, and names the one before it
5. the root over the first entries is that of each head; since all are prefixes of one tree, the
   heads are consistent with one another
6. the table of heads and the file have the same ones; only the newest may be in the file alone
7. the tagged tables are as they were written, and not older than the newest head
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, func, select

from keystead.audit import heads as signed
from keystead.audit import log, merkle
from keystead.audit.entries import from_row
from keystead.audit.heads import Head, HeadFile, Signer
from keystead.audit.tables import AUDIT, HEADS
from keystead.base.errors import Tampered
from keystead.crypto import sign
from keystead.database.anchors import tagged_tables

OnProgress = Callable[[str, int, int], None]
_MOST_FINDINGS: Final = 200
_REPORT_EVERY: Final = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as Keystead wrote it: where, and what."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked, and what was found."""

    entries: int
    heads: int
    newest: Head | None
    findings: tuple[Finding, ...]


class HeadChain:
    """Heads one after the other: signed, numbered from 1, each naming the one before (step 4)."""

    def __init__(self, public: bytes, instance_id: str) -> None:
        self._public = public
        self._instance_id = instance_id
        self.last: Head | None = None
        self.count = 0

    def take(self, line: bytes) -> Head:
        """The next head.

        Raises:
            Tampered: when it is not signed by the instance or does not follow.
        """
        head = signed.read(self._public, self._instance_id, line)
        before = (self.last.number, self.last.digest) if self.last else (0, signed.NO_HEAD)
        follows = (head.number - 1, head.previous) == before
        self.last, self.count = head, self.count + 1
        if not follows:
            raise Tampered("audit.chain", number=head.number, before=before[0])
        return head


def verify(tx: Connection, signer: Signer, file: HeadFile, on_progress: OnProgress) -> Verified:
    """Check everything; at most so many findings as a person can read."""
    findings: list[Finding] = []
    found = list(_heads(tx, signer, file, findings))
    entries = int(tx.execute(select(func.count()).select_from(AUDIT)).scalar() or 0)
    room = max(0, _MOST_FINDINGS - len(findings))
    findings += islice(_log(tx, found, entries, on_progress), room)
    newest = found[-1] if found else None
    findings += _tables(tx, signer, newest)
    return Verified(entries, len(found), newest, tuple(findings))


def _heads(
    tx: Connection, signer: Signer, file: HeadFile, findings: list[Finding]
) -> Iterator[Head]:
    chain = HeadChain(sign.public_of(signer.signing), signer.instance_id)
    stored = {row.number: row for row in tx.execute(select(HEADS).order_by(HEADS.c.number))}
    in_file = set()
    for at, line in enumerate(file.lines(), start=1):
        try:
            head = chain.take(line)  # step 4
        except Tampered as error:
            findings.append(Finding(f"{file.path.name}, line {at}", error.what))
            continue
        in_file.add(head.number)
        if not _is_same(stored.get(head.number), head):
            findings.append(Finding(f"head {head.number}", "the table holds another"))
        yield head
    newest = max(in_file, default=0)
    for number in sorted(stored.keys() - in_file, key=str):  # step 6
        findings.append(Finding(f"head {number}", f"it is not in {file.path.name}"))
    for number in sorted(in_file - stored.keys() - {newest}):
        findings.append(Finding(f"head {number}", "it is not in the table"))


def _is_same(row: Any, head: Head) -> bool:
    """Whether a row of the table says what a head of the file says; one alone is another matter."""
    if row is None:
        return True
    said = (head.size, head.at, head.line.decode())
    return bool((row.size, row.at, row.envelope) == said)


def _log(
    tx: Connection, found: Iterable[Head], total: int, on_progress: OnProgress
) -> Iterator[Finding]:
    at_size: dict[int, list[Head]] = {}
    for head in found:
        at_size.setdefault(head.size, []).append(head)
    frontier, whole = merkle.Frontier(), True
    before = 0
    for sequence, row, hashes in log.pairs(tx):
        if sequence != before + 1:  # step 2
            whole = False
            yield _gap(before, sequence)
        before = sequence
        taken, findings = _entry(frontier, sequence, row, hashes)
        yield from findings
        whole = whole and taken
        for head in at_size.pop(sequence, []):  # step 5
            if not whole or frontier.root().hex() != head.root:
                what = f"the first {head.size} entries are not those that were signed {head.at}"
                yield Finding(f"head {head.number}", what)
        if sequence % _REPORT_EVERY == 0:
            on_progress("verifying", sequence, total)
    on_progress("verifying", total, total)
    for head in (head for late in at_size.values() for head in late if head.size):
        what = f"signed over {head.size} entries; the audit log ends at {before}"
        yield Finding(f"head {head.number}", what)


def _gap(before: int, sequence: int) -> Finding:
    if sequence <= before:
        return Finding(f"entry {sequence}", "no entry has this sequence")
    if sequence == before + 2:
        return Finding(f"entry {before + 1}", "missing from the audit log")
    return Finding(f"entries {before + 1} to {sequence - 1}", "missing from the audit log")


def _entry(
    frontier: merkle.Frontier, sequence: int, row: Mapping[str, Any] | None, hashes: str | None
) -> tuple[bool, list[Finding]]:
    """Take one entry into the tree; whether it could be, and what is wrong with it.

    Where the entry is missing or changed, the kept leaf takes its place, so that what follows can
    still be checked.
    """
    where, kept = f"entry {sequence}", hashes or ""
    findings, leaf = [], None
    if row is None:
        findings.append(Finding(where, "missing from the audit log; its hashes are there"))
    else:
        try:
            leaf = from_row(row).leaf()  # step 1
        except Tampered as error:
            findings.append(Finding(where, error.what))
        if leaf and leaf.hex() != kept[:64]:
            findings.append(Finding(where, "it is not as it was written"))
    try:
        made = frontier.append(bytes.fromhex(kept[:64]) if len(kept) >= 64 else leaf or b"")
    except ValueError:
        return False, [*findings, Finding(where, "its kept hashes cannot be read")]
    if b"".join(made).hex() != kept:  # step 3
        findings.append(Finding(where, "the hashes kept with it are not those of the tree"))
    return True, findings


def _tables(tx: Connection, signer: Signer, newest: Head | None) -> Iterator[Finding]:
    for table in tagged_tables():  # step 7
        try:
            signer.integrity.check(tx, table)
        except Tampered as error:
            yield Finding(table.name, error.what)
    try:
        if newest:
            for what in signed.disagreements(tx, signer.integrity, newest):
                yield Finding(f"head {newest.number}", what)
    except Tampered as error:
        yield Finding(f"head {newest.number if newest else 0}", error.what)
