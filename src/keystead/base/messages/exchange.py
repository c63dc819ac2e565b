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
        "The key {key} leaves only to a module under the same external key as here.",
        "Put the target's module under it with: keystead external wrap",
    ),
    "exchange.dark": Message(
        "The source may not use the external key of what was asked for now.",
        "Once it may, go on with: keystead job resume HOME JOB",
    ),
    "exchange.changed": Message(
        "The external keys at the source changed while it answered the request {request}.",
        "Try again with: keystead exchange refresh HOME {request}",
    ),
}
