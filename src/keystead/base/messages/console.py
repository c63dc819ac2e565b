"""Messages of the console's own."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "console.page": Message(
        "There is no page '{page}'.", "Look for what you want in the navigator."
    ),
    "console.foreign": Message(
        "That form was not given to this session, so nothing was done.",
        "Load the page again and send it once more.",
    ),
    "console.entrance": Message(
        "The log-in page had been open for too long.", "Give your name and password again."
    ),
    "console.changed": Message(
        "Somebody changed this record while you had it open, so nothing was saved.",
        "Compare what is there now with what you want, and save again.",
    ),
    "console.form": Message("The form cannot be read.", "Load the page again and send it again."),
}
