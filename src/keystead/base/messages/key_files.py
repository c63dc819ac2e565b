"""Messages about key files."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "key_file.away": Message(
        "The key file {file} cannot be reached: {reason}.",
        "Put the medium back, or give the path of another key file.",
    ),
    "key_file.exists": Message(
        "There is a file {file} already.",
        "Give another path; a key file is never written over another file.",
    ),
    "key_file.exposed": Message(
        "Others can read or change the key file {file} (mode {mode}).",
        "Make it private with: chmod 0600 {file}",
    ),
    "key_file.malformed": Message(
        "The file {file} is no key file, or it was damaged.",
        "Put a copy of the key file there; nothing else opens what it wrapped.",
    ),
    "key_file.missing": Message(
        "There is no key file {file}.",
        "Put it back, or give the path of another one.",
    ),
    "key_file.not_due": Message(
        "The key file {file} is to be deleted at {moment}, and not before.",
        "Wait until then, or cancel the deletion.",
    ),
    "key_file.transition": Message(
        "The key file is {state}, so it cannot {action}.",
        "As it is, it can {allowed}.",
    ),
    "key_file.unreadable": Message(
        "The key file {file} may not be read.",
        "Give it to the user that runs the instance.",
    ),
    "key_file.waiting": Message(
        "A key file is deleted after 7 to 30 days, not after {days}.",
        "Give a number of days from 7 to 30.",
    ),
}
