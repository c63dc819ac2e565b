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
    "backup.tool_missing": Message(
        "The program {tool}, which copies a {engine} database, is not installed here.",
        "Install the client programs of {engine} {wanted} or newer.",
    ),
    "backup.tool_old": Message(
        "The program {tool} is of version {newest}, the {engine} server of version {wanted}.",
        "Install the client programs of {engine} {wanted} or newer.",
    ),
    "backup.tool": Message(
        "{tool} ended with {status}; it said: {said}.",
        "See the log of the database server for the reason, and repeat when it is out of the way.",
    ),
    "backup.changed": Message(
        "A table was altered, renamed or dropped while it was copied.",
        "Repeat when nobody changes tables.",
    ),
    "backup.table_engine": Message(
        "The table '{table}' is kept by {engine}, which has no copy of one moment.",
        "Change it with: ALTER TABLE {table} ENGINE=InnoDB. Nothing was written.",
    ),
    "backup.schema": Message(
        "This instance lies in the schema '{schema}'; only one in 'public' can be restored.",
        "Make the schema 'public' the first of its search path, and move the tables there.",
    ),
    "backup.option": Message(
        "The option '{option}' in the database's URL has no counterpart in the server's tools.",
        "Leave it out, or use the options that docs/reference/files.md names.",
    ),
    "backup.place": Message(
        "The instance in this backup had its database on a server: {url}.",
        "Name an empty database of the same kind with --database URL.",
    ),
    "backup.environment": Message(
        "The variable {variable} names another database than the one to restore to.",
        "Unset it, or give it the same URL.",
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
        "Restore it to the kind of database that it was made from; --database names a server's.",
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
