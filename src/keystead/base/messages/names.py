"""Messages about names."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "name.invalid": Message(
        "'{name}' is not a usable name for {what}.",
        "Use 1 to 60 characters without control characters or any of: \" ' ` ^ = < > ! [ ] , ;",
    ),
    "name.reserved": Message(
        "'{name}' belongs to Keystead.",
        "Business tables may not begin with sys_, sysauto_ or keystead_.",
    ),
}
