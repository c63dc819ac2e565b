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
        "Give it a value; on the command line as: --set {setting}=VALUE.",
    ),
    "external.setting_form": Message(
        "The setting '{setting}' is too long, or holds characters that cannot be shown.",
        "Give up to 2,000 printable characters.",
    ),
    "external.setting_pair": Message(
        "'{given}' is no setting with a value.",
        "Write NAME=VALUE, as in: --set region=eu-central-1.",
    ),
    "external.setting_secret": Message(
        "The setting '{setting}' is a credential, and others can see a command line.",
        "Write it as --set-from {setting}=FILE, or --ask {setting}.",
    ),
    "external.test_failed": Message(
        "The test of '{name}' failed at {call}: {reason}.",
        "Mend what its provider refuses, or change it with: keystead external change HOME {name}",
    ),
    "external.library": Message(
        "The library for {kind} is not installed.",
        "Install the package of Keystead with its part '{extra}'.",
    ),
    "external.setting_value": Message(
        "The setting '{setting}' cannot be used: {reason}.",
        "Give another value.",
    ),
    "external.exists": Message(
        "There is an external key configuration '{name}' already.",
        "Choose another name, or see it with: keystead external show HOME {name}",
    ),
    "external.missing": Message(
        "There is no external key configuration '{name}'.",
        "See them with: keystead external list HOME",
    ),
    "external.seconds": Message(
        "'{setting}' must be from {least} to {most} seconds.",
        "Give another number.",
    ),
    "external.critical": Message(
        "The configuration '{name}' is in use: what names its key cannot be changed.",
        "Make another, and move each module with: keystead external wrap HOME MODULE NAME",
    ),
    "external.needed": Message(
        "The configuration '{name}' is needed: {modules} modules chose it, it wraps {keys} keys.",
        "Move each module to another with: keystead external wrap HOME MODULE NAME",
    ),
    "external.draft": Message(
        "The external key configuration '{name}' is a draft: it cannot {action}.",
        "Activate it first with: keystead external activate HOME {name}",
    ),
    "external.transition": Message(
        "The external key configuration '{name}' is {state}: it cannot {action}.",
        "See its state with: keystead external show HOME {name}",
    ),
    "external.not_open": Message(
        "The keys are under an external key, which this program did not open.",
        "Use a program that opens the instance with its providers.",
    ),
    "external.no_ekek": Message(
        "The external key configuration '{name}' has no key of its own yet.",
        "Activate it with: keystead external activate HOME {name}",
    ),
    "external.dark": Message(
        "The external key of '{name}' is {status} ({answer}): what it protects is dark.",
        "Nothing is lost. See what its provider says with: keystead external status HOME",
    ),
    "external.lapsed": Message(
        "The lease on the external key of '{name}' has ended, and another was not granted yet.",
        "Try again in a moment.",
    ),
    "external.revoked": Message(
        "The external key of '{name}' was revoked here: what it protects is dark.",
        "Nothing is lost. Take it back with: keystead external reinstate HOME {name}",
    ),
    "alert.unsent": Message(
        "An alert could not be sent to {where}: {reason}.",
        "It is tried again. See the alerts with: keystead external alerts HOME",
    ),
    "alert.webhook": Message(
        "The webhook for alerts cannot be used: it must be an https address.",
        "Change it with: keystead property set HOME keystead.alert.webhook URL",
    ),
    "alert.mail": Message(
        "Alerts cannot be mailed: a sender, a receiver or the server is in no form to be used.",
        "Look at the properties that begin with keystead.alert.mail.",
    ),
    "external.unfit": Message(
        "The key of '{name}' cannot be an external key: {reason}.",
        "Configure another: AES of 256 bits in an HSM, symmetric and of one Region in AWS KMS.",
    ),
    "external.failed": Message(
        "The provider of '{name}' refused to {call}: {answer} ({reason}).",
        "Try each call with: keystead external test HOME {name}",
    ),
}
