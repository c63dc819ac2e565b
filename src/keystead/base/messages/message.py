"""What a message is."""

from typing import NamedTuple


class Message(NamedTuple):
    """Two lines; `{names}` in them are the facts given with the error."""

    what: str
    todo: str
