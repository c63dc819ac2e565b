"""Messages about clones."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "clone.missing": Message(
        "There is no clone '{clone}'.", "See them with: keystead clone list HOME"
    ),
    "clone.not_empty": Message(
        "The target is not empty: it has {what}.",
        "Clone into a fresh instance: keystead init, then pair it.",
    ),
    "clone.refused": Message("The plan is refused: {reason}.", "{advice}"),
    "clone.stale": Message(
        "The source is no longer as the plan found it: {reason}.",
        "Cancel the clone's job with: keystead job cancel HOME JOB. Then make a new plan with:"
        " keystead clone plan HOME --target NAME",
    ),
    "clone.differs": Message(
        "The copy differs from the source: {reason}.",
        "Nothing was put in place. Repeat with: keystead clone run HOME CLONE",
    ),
    "clone.order": Message(
        "A message of the clone came out of its order.",
        "Nothing was taken from it. Repeat with: keystead clone run HOME CLONE",
    ),
    "clone.transition": Message(
        "The clone {clone} is {state}: it cannot {action}.",
        "See its state with: keystead clone list HOME",
    ),
}
