"""The audit log as one file that is checked without the home (`docs/formats/audit.md`).

One JSON object a line: who it is from, then entries, and each head after the entries it covers.
The last line is a head over every entry before it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection

from keystead.audit import log, merkle
from keystead.audit.entries import from_json
from keystead.audit.heads import Head, HeadFile, Signer, read
from keystead.audit.verification import Finding, HeadChain, OnProgress, Verified
from keystead.base.errors import Invalid, Tampered
from keystead.crypto import sign

FORMAT: Final = "keystead-audit-1"
_REPORT_EVERY: Final = 1_000
_MOST_FINDINGS: Final = 200
Json = Any


def lines(
    tx: Connection,
    signer: Signer,
    file: HeadFile,
    newest: Head,
    identity: Json,
    on_progress: OnProgress,
) -> Iterator[bytes]:
    """The lines of an export up to the head `newest`, in canonical form.

    Raises:
        Tampered: at an entry or a head that is not as it was written.
    """
    public = sign.public_of(signer.signing)
    heads: dict[int, list[bytes]] = {}
    for line in file.lines():
        head = read(public, signer.instance_id, line)
        if head.number <= newest.number:
            heads.setdefault(head.size, []).append(line)
    yield sign.canonical({"format": FORMAT, "identity": identity})
    for entry in islice(log.walk(tx), newest.size):
        yield sign.canonical({"entry": entry.as_json()})
        yield from (b'{"head":%s}' % line for line in heads.get(entry.sequence, ()))
        if entry.sequence % _REPORT_EVERY == 0:
            on_progress("exporting", entry.sequence, newest.size)
    on_progress("exporting", newest.size, newest.size)


def verify(
    found: Iterable[bytes], public_of: Callable[[Json], tuple[bytes, str]], on_progress: OnProgress
) -> Verified:
    """Check an export: the entries against their heads, the heads against their signer.

    `public_of` gives the signing key and the instance id of the identity in the first line, or
    refuses it.

    Raises:
        Invalid: when it is no export.
    """
    numbered = enumerate(found, start=1)
    first = next(numbered, (1, b""))[1]
    header = _object(first)
    if header is None or header.get("format") != FORMAT:
        raise Invalid("audit.export")
    chain = HeadChain(*public_of(header.get("identity")))
    frontier = merkle.Frontier()
    findings: list[Finding] = []
    covered = 0
    for number, line in numbered:
        try:
            covered = _take(line, frontier, chain, covered)
        except Tampered as error:
            if len(findings) < _MOST_FINDINGS:
                findings.append(Finding(f"line {number}", error.what))
        if number % _REPORT_EVERY == 0:
            on_progress("verifying", frontier.size, 0)
    on_progress("verifying", frontier.size, frontier.size)
    if covered != frontier.size or not frontier.size:
        what = f"no head covers the entries from {covered + 1} on"
        findings.append(Finding("end of the file", what))
    return Verified(frontier.size, chain.count, chain.last, tuple(findings))


def _take(line: bytes, frontier: merkle.Frontier, chain: HeadChain, covered: int) -> int:
    """Take one line; how many entries the newest good head covers."""
    held = _object(line)
    if held is None or len(held) != 1 or not held.keys() <= {"entry", "head"}:
        raise Tampered("audit.line")
    if "entry" in held:
        entry = from_json(held["entry"])
        frontier.append(entry.leaf())
        if entry.sequence != frontier.size:
            raise Tampered("audit.order", sequence=entry.sequence, expected=frontier.size)
        return covered
    head = chain.take(sign.canonical(held["head"]))
    if (head.size, head.root) != (frontier.size, frontier.root().hex()):
        raise Tampered("audit.root", number=head.number, size=head.size, at=head.at)
    return head.size


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
        canonical = sign.canonical(found) == line.rstrip(b"\n")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and canonical else None
