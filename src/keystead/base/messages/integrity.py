"""Messages about the integrity of Keystead's own rows."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "row.tampered": Message(
        "Row {row} of {table} is not as Keystead wrote it.",
        "Nothing that depends on it is used. Find out who changed it, and restore from a backup.",
    ),
    "table.tampered": Message(
        "The rows of {table} are not those that Keystead wrote last: {reason}.",
        "Nothing that depends on them is used. Find out who changed them, and restore from a"
        " backup.",
    ),
    "row.changed": Message(
        "{what} was changed by someone else at the same time.", "Look at it again, then repeat."
    ),
}
