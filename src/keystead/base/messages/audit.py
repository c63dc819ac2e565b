"""Messages about the audit log."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "audit.entry": Message(
        "Entry {sequence} of the audit log is not in the form that Keystead writes.",
        "Find out who changed it; the whole log is checked with: keystead audit verify HOME",
    ),
    "audit.behind": Message(
        "The database does not agree with head {number}, signed {at}: {reason}.",
        "See what differs (audit verify). If you restored it yourself, take it as it is with:"
        " keystead audit accept HOME --reason TEXT",
    ),
    "audit.file": Message(
        "{file} lacks head {number}, which the database has.",
        "Put the file back, or take it as lost with: keystead audit accept HOME --reason TEXT",
    ),
    "audit.other": Message(
        "{file} and the database have different heads from number {number} on.",
        "If another home accepted the database, move {file} away and repeat. Else see what differs"
        " with: keystead audit verify HOME",
    ),
    "audit.chain": Message(
        "Head {number} does not follow head {before}.",
        "A head between them was removed or changed. Check with: keystead audit verify HOME",
    ),
    "audit.order": Message(
        "Entry {sequence} stands where entry {expected} should.",
        "Entries were removed, added or moved. Ask for the export again.",
    ),
    "audit.root": Message(
        "Head {number}, signed {at} over {size} entries, does not fit the entries before it.",
        "Entries were changed, removed or added. Ask for the export again.",
    ),
    "audit.line": Message(
        "The line is neither an entry nor a head in canonical form.", "Ask for the export again."
    ),
    "audit.export": Message(
        "The file is not an exported audit log.", "Make one with: keystead audit export HOME FILE"
    ),
    "audit.fingerprint": Message(
        "{file} is from an instance with the fingerprint {shown}, not the one you gave.",
        "Compare it with: keystead peer identity HOME, run there by someone you trust.",
    ),
    "audit.arguments": Message(
        "Either a home is checked, or an exported log with its fingerprint.",
        "Give HOME, or --from FILE --fingerprint F.",
    ),
    "audit.differs": Message(
        "{count} things are not as Keystead wrote them.",
        "They are listed above. Find out who changed them, and restore from a backup.",
    ),
    "audit.unsigned": Message(
        "No signed head covers entry {sequence} yet.", "Sign one with: keystead audit sign HOME"
    ),
    "audit.missing": Message(
        "The audit log has no entry {sequence}.", "See the newest with: keystead audit list HOME"
    ),
    "audit.sequence": Message(
        "The audit log has an entry {sequence} already.",
        "Repeat. If it stays so, look for what differs with: keystead audit verify HOME",
    ),
    "audit.node": Message(
        "The hashes kept with entry {sequence} of the audit log are gone or changed.",
        "Nothing was done. Check with: keystead audit verify HOME",
    ),
    "audit.proof": Message(
        "The proof does not hold: {what}.",
        "The log, the proof or the head was changed. Check with: keystead audit verify HOME",
    ),
}
