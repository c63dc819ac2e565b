"""Messages about homes and root keys."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "schedule.missing": Message(
        "No operation '{operation}' is scheduled.",
        "See what is with: keystead schedule list HOME",
    ),
    "schedule.minutes": Message(
        "A job cannot run that often or seldom.", "Give from 1 to {most} minutes."
    ),
    "home.missing": Message(
        "{home} is not an instance's home: it has no instance.toml.",
        "Name a home, or make one in a new folder with: keystead init FOLDER --name NAME",
    ),
    "home.exists": Message(
        "{home} is not empty.", "Name a folder that does not exist yet, or an empty one."
    ),
    "home.served": Message(
        "{home} is already served by process {pid} ({role}).",
        "Stop that process first, or use it.",
    ),
    "process.lives": Message(
        "Process {pid} on {host} ({role} {home}) works on the same database.",
        "Stop it there first. See them all with: keystead process list HOME",
    ),
    "home.address": Message(
        "The address {host}:{port} cannot be used: {reason}.",
        "Stop what uses it, or choose another with: KEYSTEAD_PORT=N keystead serve HOME",
    ),
    "home.settings": Message(
        "The setting '{setting}' from {place} cannot be used: {reason}.",
        "Correct it there; docs/reference/files.md says what it takes.",
    ),
    "home.name": Message(
        "'{name}' is not a usable instance name.",
        "Use 1 to 40 letters, digits, '-' and '_', beginning with a letter.",
    ),
    "root.missing": Message(
        "The root key file {file} is missing.",
        "Put it back, or regain it with: keystead root recover HOME",
    ),
    "root.readable": Message(
        "The root key file {file} can be read by others (mode {mode}).",
        "Take that right away with: chmod 600 {file}",
    ),
    "root.malformed": Message(
        "The root key file {file} does not hold a root key.",
        "Put the right file back, or regain it with: keystead root recover HOME",
    ),
    "root.wrong": Message(
        "The root key does not open this instance's keys.",
        "Put the instance's own root key back, or regain it with: keystead root recover HOME",
    ),
    "root.recovery": Message(
        "The recovery key does not open this instance's root.",
        "Check it letter by letter: it was shown once, by init or by the last root rotate.",
    ),
    "root.recovery_file": Message(
        "The recovery file {file} cannot be read.",
        "Put it back from a backup, or make a new recovery key with: keystead root rotate HOME",
    ),
    "root.present": Message(
        "The root key file {file} exists.", "Move it away first; recovery never overwrites one."
    ),
    "home.busy": Message("Another command or server works on {home}.", "Repeat when it has ended."),
    "home.older": Message(
        "{home} was made by an older version of Keystead (schema {found}, this one has {head}).",
        "Take it along with: keystead upgrade {home}",
    ),
    "home.newer": Message(
        "{home} was made by a newer version of Keystead (schema {found}, this one has {head}).",
        "Use that version. A newer home is never taken back to an older version.",
    ),
    "home.half_restored": Message(
        "The database of {home} is half restored: a restore into it did not end.",
        "Empty the database, and restore the backup once more.",
    ),
    "home.foreign_schema": Message(
        "The database of {home} lacks tables that every version of Keystead has: {missing}.",
        "Check that this is the right home, or restore it from a backup.",
    ),
}
