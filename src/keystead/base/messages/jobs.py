"""Messages about jobs."""

from typing import Final

from keystead.base.messages.message import Message

MESSAGES: Final = {
    "job.missing": Message("There is no job '{job}'.", "See the jobs with: keystead job list HOME"),
    "job.busy": Message(
        "{what} is busy: {kind} job {job} is {state}.",
        "Wait for it with: keystead job wait HOME {job}",
    ),
    "job.unfinished": Message(
        "{what} is held by a failed {kind} job {job}.",
        "Go on with: keystead job resume HOME {job}. Or give it up with: keystead job cancel HOME"
        " {job}",
    ),
    "job.transition": Message(
        "The job {job} is {state}: it cannot {action}.",
        "See its state with: keystead job list HOME",
    ),
    "job.fenced": Message(
        "The job {job} was taken over by another process.", "Nothing is to be done."
    ),
    "job.unsealed": Message(
        "{count} values of {table}.{column} stay plain after {passes} passes.",
        "Stop the writer that keeps adding plain values, then: keystead job resume HOME {job}",
    ),
    "job.failed": Message("The job {job} failed: {reason}", "{advice}"),
    "job.cancelled": Message(
        "The job {job} was cancelled.", "Start the work anew if it is still wanted."
    ),
    "job.unserved": Message(
        "The job {job} waits: no process serves {home} or works for it.",
        "Start one with: keystead serve {home}",
    ),
    "export.unconfirmed": Message(
        "Key bytes are written out only on purpose.",
        "Repeat with --reveal-key-bytes if whoever gets the file may read every value.",
    ),
    "export.exists": Message("The file {file} exists.", "Name a file that does not exist yet."),
    "export.form": Message(
        "{file} does not hold exported keys.", "Make it with: keystead key export"
    ),
    "census.unreadable": Message(
        "{count} values cannot be opened here.", "The columns above say which keys they name."
    ),
    "census.dark": Message(
        "{count} values are dark: their external key may not be used now. Nothing is lost.",
        "See why with: keystead external status HOME",
    ),
    "disk.full": Message(
        "The disk is full; the change was taken back whole.",
        "Make room, then repeat or continue with: keystead job resume HOME JOB",
    ),
    "database.busy": Message(
        "The database is locked by another program.", "Try again when that program is done."
    ),
    "database.broken": Message(
        "The database reports: {reason}.", "Check the file and the disk, then repeat."
    ),
    "database.missing": Message(
        "The database {file} is missing.",
        "Put it back from a backup; nothing was made in its place.",
    ),
    "database.damaged": Message(
        "The database file is damaged.", "Stop what uses it, and put it back from a backup."
    ),
    "database.not_text": Message(
        "A text in the table is not valid UTF-8.",
        "Find it with the database's own tools and mend it, then repeat.",
    ),
    "database.url": Message(
        "The database's URL cannot be used: {reason}.",
        "Write postgresql://USER@HOST/NAME or mariadb://USER@HOST/NAME.",
    ),
    "database.driver": Message(
        "The driver for {engine} is not installed.",
        "Install Keystead with its extra for it: keystead[{engine}].",
    ),
    "database.value": Message(
        "The database refuses {reason}.", "Correct the value, then repeat; nothing was changed."
    ),
    "database.away": Message(
        "The database server {server} does not answer.",
        "See that it runs and can be reached, then repeat.",
    ),
    "database.login": Message(
        "The database server {server} refuses the user or the password.",
        "Correct the URL in instance.toml, or give KEYSTEAD_DATABASE_PASSWORD.",
    ),
    "database.absent": Message(
        "There is no such database or user: {server}.",
        "Have it made by the server's administrator.",
    ),
    "database.rights": Message(
        "The user has too few rights in {server}.",
        "Let the user create, alter, read and write tables there.",
    ),
    "database.encoding": Message(
        "The database {server} keeps text as {encoding}.", "Have one made that keeps it as UTF-8."
    ),
    "database.not_empty": Message(
        "The database on {server} is not empty.",
        "Name an empty one; a restore never mixes with what is there.",
    ),
    "database.half": Message(
        "The database on {server} is half restored: a restore into it did not end.",
        "Drop it, create it anew, and restore the backup once more.",
    ),
    "database.taken": Message(
        "The database {server} holds another instance.", "Give each instance a database of its own."
    ),
    "name.engine": Message(
        "'{name}' cannot be the name of {what} in {engine}.",
        "Use a shorter name: 20 characters are always short enough.",
    ),
    "scrub.blocked": Message(
        "The database is in use, so old copies of clear text could not be cleared.",
        "Close other programs on the database; a job goes on with: keystead job resume HOME JOB",
    ),
    "job.pages_lost": Message(
        "A process that worked out pages of the job {job} ended before it was done.",
        "Nothing is lost. Go on with: keystead job resume HOME {job}",
    ),
}
