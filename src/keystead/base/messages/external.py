"""Messages about external keys."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "external.kind_unknown": Message(
        "There is no kind of provider '{kind}'.",
        "Give one of these: {kinds}.",
    ),
    "external.setting_unknown": Message(
        "A configuration of {kind} has no setting '{setting}'.",
        "See what it has with: keystead external create --help",
    ),
    "external.setting_missing": Message(
        "The configuration of {kind} needs the setting '{setting}'.",
        "Give it with: keystead external create HOME NAME --set {setting}=VALUE",
    ),
    "external.setting_form": Message(
        "The setting '{setting}' is too long, or holds characters that cannot be shown.",
        "Give up to 2,000 printable characters.",
    ),
    "external.library": Message(
        "The library for {kind} is not installed.",
        "Install it with: pip install 'keystead[{extra}]'",
    ),
    "external.setting_value": Message(
        "The setting '{setting}' cannot be used: {reason}.",
        "Give another value.",
    ),
}
