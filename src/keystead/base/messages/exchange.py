"""Messages about key exchange."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "exchange.missing": Message(
        "There is no exchange request '{request}'.",
        "See them with: keystead exchange list HOME",
    ),
    "exchange.refused": Message(
        "The keys of request {request} were refused: {reason}.",
        "Nothing was imported. Make a new request.",
    ),
    "exchange.expired": Message(
        "The request {request} expired before its keys were here.",
        "Ask again with: keystead exchange request HOME --from SOURCE --module NAME",
    ),
    "exchange.transition": Message(
        "The exchange request {request} is {state}: it cannot {action}.",
        "See its state with: keystead exchange list HOME",
    ),
    "exchange.external": Message(
        "The key {key} is under an external key here, and would escape its revocation elsewhere.",
        "Clone with rekeying, or leave its columns out.",
    ),
}
