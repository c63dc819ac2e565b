"""Messages about backups."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "stream.damaged": Message(
        "An encrypted stream is damaged, cut short, or under another key.",
        "Nothing of it is used. Use another copy.",
    ),
    "passphrase.short": Message(
        "A passphrase needs at least {shortest} characters.",
        "Use several words that do not belong together.",
    ),
    "backup.exists": Message(
        "{file} exists.", "Name a file that does not exist yet; backups are never replaced."
    ),
    "backup.server": Message(
        "The database of this instance is on a server, and is backed up there.",
        "Use the server's own tools, and keep a copy of the home folder with what they write.",
    ),
    "backup.no_recipient": Message(
        "{home} does not know for whom to seal a backup.",
        "Give a passphrase with --passphrase-file, or make a new recovery key with: keystead root"
        " rotate {home}",
    ),
    "backup.form": Message(
        "{file} is not a backup that can be read: {reason}.",
        "Check the file, or use another copy of the backup.",
    ),
    "backup.engine": Message(
        "The copy of the database in this backup cannot be read by this instance's engine.",
        "Restore it to the kind of database that it was made from.",
    ),
    "backup.damaged": Message(
        "The backup {file} is damaged: {reason}.",
        "Nothing was restored. Use another copy of the backup.",
    ),
    "backup.key": Message(
        "The {what} does not open this backup of instance '{name}'.",
        "Check it letter by letter, and that it belongs to this instance and time.",
    ),
    "backup.recipient": Message(
        "This backup of instance '{name}' was not sealed to a {what}.",
        "Open it by what it was sealed to: {known}.",
    ),
}
