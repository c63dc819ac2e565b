"""Messages about what any command may meet."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "usage": Message("{what}.", "See how it is used with: {command} --help"),
    "interrupted": Message(
        "Interrupted.",
        "A job that was begun goes on in the server. See it with: keystead job list HOME",
    ),
    "unexpected": Message(
        "Something went wrong that should not: {reason}.",
        "Please report it; {switch}=1 in the environment shows where it happened.",
    ),
}
