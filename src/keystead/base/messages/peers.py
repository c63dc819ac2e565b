"""Messages about peers."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "peer.missing": Message(
        "There is no paired instance '{peer}'.",
        "Pair it with: keystead peer add HOME URL --fingerprint F",
    ),
    "peer.exists": Message(
        "The instance '{peer}' is paired.",
        "If it was made anew, first take back the old pair with: keystead peer remove HOME {peer}",
    ),
    "peer.ambiguous": Message(
        "'{peer}' is the name of one paired instance and the id of another.",
        "Remove the one you do not trust with: keystead peer remove HOME ID",
    ),
    "peer.self": Message("That is this instance itself.", "Give the address of another instance."),
    "peer.fingerprint": Message(
        "The instance at {url} shows another fingerprint than the one you gave.",
        "Compare it with: keystead peer identity HOME, run on that instance by someone you trust.",
    ),
    "peer.identity": Message(
        "The instance at {url} is not the one that was paired as '{peer}'.",
        "Nothing was sent. If it was made anew: keystead peer remove HOME {peer}, then peer add.",
    ),
    "peer.unreachable": Message(
        "The instance '{peer}' at {url} does not answer: {reason}.",
        "Start it with: keystead serve, then repeat.",
    ),
    "peer.address": Message(
        "'{url}' is not the address of an instance.",
        "Give it as https://HOST:PORT, without a path.",
    ),
    "peer.host": Message(
        "The paired instance '{peer}' is not served at '{host}'.",
        "Leave the host out, or pair with the instance that is served there.",
    ),
    "peer.fingerprint_form": Message(
        "'{fingerprint}' is not a fingerprint.",
        "It is eight groups of eight digits, shown over there by: keystead peer identity HOME",
    ),
    "peer.nobody": Message(
        "No instance answers at {url}: {reason}.",
        "Check the address, and that it is served there with: keystead serve HOME",
    ),
    "peer.refused": Message("The instance '{peer}' refused: {reason}", "{advice}"),
    "peer.answer": Message(
        "The instance '{peer}' gave an answer that cannot be read.",
        "Check that both run the same version of Keystead.",
    ),
    "message.invalid": Message(
        "The message cannot be read: {reason}.", "Check that both run the same version of Keystead."
    ),
    "message.sender": Message(
        "The sender {sender} is not paired with this instance.",
        "If you know it, pair with: keystead peer add HOME URL --fingerprint F",
    ),
    "message.denied": Message(
        "The message was refused.", "See the reason in the receiving instance's audit log."
    ),
}
