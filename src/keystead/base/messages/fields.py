"""Messages about encrypted fields."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "field.exists": Message(
        "{table}.{column} has an encrypted field configuration already.",
        "See its state with: keystead field list HOME",
    ),
    "field.nothing": Message(
        "Neither a column nor the attachments of '{table}' were named.",
        "Name columns, or give --attachments.",
    ),
    "field.missing": Message(
        "{table} has no encrypted column{column}.",
        "Configure one with: keystead field add HOME {table} COLUMN --module MODULE",
    ),
    "field.refused": Message("{table}.{column} cannot be encrypted: {reason}.", "{advice}"),
    "value.tampered": Message(
        "A value of {table}.{column} is not as Keystead wrote it.",
        "It is not shown. Find out who changed it, and restore the row from a backup.",
    ),
    "envelope.malformed": Message("This is not an envelope of format 1.", "Nothing is to be done."),
    "seal.failed": Message(
        "The sealed message does not open.", "It is for another receiver, or was changed."
    ),
    "signature.invalid": Message(
        "The signature of the {what} is not valid: {reason}.",
        "Nothing was done. Ask the sender to send it again.",
    ),
}
