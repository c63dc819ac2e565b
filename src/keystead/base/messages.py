"""The message catalogue: for each stable code, what happened and what to do about it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Message(NamedTuple):
    """Two lines; `{names}` in them are the facts given with the error."""

    what: str
    todo: str


CATALOGUE: Final[dict[str, Message]] = {
    # home and root
    "home.missing": Message(
        "{home} is not an instance's home.", "Make one with: keystead init {home} --name NAME"
    ),
    "home.exists": Message(
        "{home} is not empty.", "Name a folder that does not exist yet, or an empty one."
    ),
    "home.served": Message(
        "{home} is already served by process {pid}.", "Stop that process first, or use it."
    ),
    "home.address": Message(
        "The address {host}:{port} cannot be used: {reason}.",
        "Stop what uses it, or choose another with: KEYSTEAD_PORT=N keystead serve HOME",
    ),
    "home.settings": Message(
        "{file} cannot be read: {reason}.",
        "Correct the file; that of a new instance shows its form.",
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
        "Check it letter by letter: it was shown once, when the instance was made.",
    ),
    "root.present": Message(
        "The root key file {file} exists.", "Move it away first; recovery never overwrites one."
    ),
    # integrity of Keystead's own rows
    "row.tampered": Message(
        "Row {row} of {table} is not as Keystead wrote it.",
        "Nothing that depends on it is used. Find out who changed it, and restore from a backup.",
    ),
    "row.changed": Message(
        "{what} was changed by someone else at the same time.", "Look at it again, then repeat."
    ),
    # names
    "name.invalid": Message(
        "'{name}' is not a usable name for {what}.",
        "Use 1 to 60 characters without control characters or any of: \" ' ` ^ = < > ! [ ] , ;",
    ),
    "name.reserved": Message(
        "'{name}' belongs to Keystead.", "Business tables may not begin with sys_ or keystead_."
    ),
    # tables and files
    "table.missing": Message(
        "There is no table '{table}'.", "See what there is with: keystead table list HOME"
    ),
    "table.exists": Message(
        "The table '{table}' exists.", "Load into a new table; existing rows are never replaced."
    ),
    "column.missing": Message(
        "The table '{table}' has no column '{column}'.",
        "See its columns with: keystead table show HOME {table}",
    ),
    "file.missing": Message("{file} cannot be read: {reason}.", "Check the path and its rights."),
    "file.unusable": Message("{file} cannot be used: {reason}.", "Check the path and its rights."),
    "file.format": Message(
        "{file} is neither CSV nor JSON lines by its name.",
        "Name it .csv, .csv.gz, .jsonl or .jsonl.gz, or give --format.",
    ),
    "file.empty": Message("{file} has no header or no rows.", "Give a file with at least one row."),
    "file.row": Message(
        "{file}, line {line}: {reason}.", "Correct the line and load again; nothing was loaded."
    ),
    "file.value": Message(
        "{file}, line {line}, column '{column}': {reason}.",
        "Correct the value and load again; nothing was loaded.",
    ),
    "file.column": Message(
        "{file}: {reason}.", "Correct the header and load again; nothing was loaded."
    ),
    "query.syntax": Message(
        "'{term}' in the query cannot be understood.",
        "Write column=value or column!=value, several joined with ^.",
    ),
    "query.standard": Message(
        "The column '{column}' cannot be searched: equal values are stored unequal.",
        "Search another column, or configure it with an equality preserving specification.",
    ),
    "query.operator": Message(
        "The encrypted column '{column}' takes only '='.", "Use '=' with the whole value."
    ),
    "query.denied": Message(
        "You may not search the column '{column}'.",
        "Ask for a module access policy that lets you decrypt it.",
    ),
    # users and policies
    "user.missing": Message(
        "There is no user '{user}'.", "See who there is with: keystead user list HOME"
    ),
    "user.exists": Message("The user '{user}' exists.", "Choose another name."),
    "policy.exists": Message(
        "The module '{module}' has this policy for role '{role}'.", "Nothing is to be done."
    ),
    # modules, specifications, keys
    "module.missing": Message(
        "There is no crypto module '{module}'.", "See what there is with: keystead module list HOME"
    ),
    "module.exists": Message(
        "The crypto module '{module}' exists.", "Choose another name; modules are never deleted."
    ),
    "module.draft": Message(
        "The crypto module '{module}' is a draft.",
        "Publish it with: keystead module publish HOME {module}",
    ),
    "module.published": Message(
        "The crypto module '{module}' is published.", "Nothing is to be done."
    ),
    "specification.missing": Message(
        "There is no crypto specification '{spec}' here.",
        "See the modules with: keystead module list HOME --json",
    ),
    "key.missing": Message(
        "There is no key '{key}' here.", "See the keys with: keystead key list HOME"
    ),
    "key.none": Message(
        "The module '{module}' has no active key.",
        "Make one with: keystead key generate HOME {module}",
    ),
    "key.not_held": Message(
        "The key '{key}' is known here, but not held.",
        "Receive it by a key exchange, or leave its values unreadable.",
    ),
    "key.transition": Message(
        "The key {key} is {state}: it cannot {action}.",
        "See its state with: keystead key list HOME",
    ),
    "key.active_exists": Message(
        "The module '{module}' has an active key.",
        "Replace it with: keystead key rotate HOME {module}",
    ),
    "key.needed": Message(
        "{count} values still need the key {key}: {where}.",
        "Move them to the active key with: keystead rekey HOME TABLE",
    ),
    "key.elsewhere": Message(
        "The key {key} belongs to another specification here.",
        "Nothing was imported. Ask the sender which key it means.",
    ),
    "key.differs": Message(
        "Other bytes are held here for the key {key}.",
        "Nothing was imported. Find out which of both instances holds the right ones.",
    ),
    "key.own": Message(
        "The key {key} is this instance's own.", "Only a key received from another can be dropped."
    ),
    # encrypted fields
    "field.exists": Message(
        "{table}.{column} is encrypted already.",
        "See its state with: keystead field list HOME",
    ),
    "field.missing": Message(
        "{table} has no encrypted column{column}.",
        "Configure one with: keystead field add HOME {table} COLUMN --module MODULE",
    ),
    "field.refused": Message("{table}.{column} cannot be encrypted: {reason}.", "{advice}"),
    "value.tampered": Message(
        "A value of {table}.{column} is not as Keystead wrote it.",
        "It is not shown. Find out who changed it, and restore the row from a backup.",
    ),
    "envelope.malformed": Message("This is not an envelope of format 1.", "Nothing is to be done."),
    "seal.failed": Message(
        "The sealed message does not open.", "It is for another receiver, or was changed."
    ),
    "signature.invalid": Message(
        "The signature of the {what} is not valid: {reason}.",
        "Nothing was done. Ask the sender to send it again.",
    ),
    # jobs
    "job.missing": Message("There is no job '{job}'.", "See the jobs with: keystead job list HOME"),
    "job.interrupted": Message(
        "The job {job} ended without writing why.", "Resume it with: keystead job resume HOME {job}"
    ),
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
        "The job {job} waits: no process serves {home}.",
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
    "database.not_utf8": Message(
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
    # peers
    "peer.missing": Message(
        "There is no paired instance '{peer}'.",
        "Pair it with: keystead peer add HOME URL --fingerprint F",
    ),
    "peer.exists": Message(
        "The instance '{peer}' is paired.", "See the pairs with: keystead peer list HOME"
    ),
    "peer.ambiguous": Message(
        "'{peer}' is the name of one paired instance and the id of another.",
        "Remove the one you do not trust with: keystead peer remove HOME ID",
    ),
    "peer.self": Message("That is this instance itself.", "Give the address of another instance."),
    "peer.fingerprint": Message(
        "The instance at {url} shows the fingerprint {shown}, not the one you gave.",
        "Compare it with: keystead peer identity HOME, run on that instance by someone you trust.",
    ),
    "peer.identity": Message(
        "The instance at {url} is not the one that was paired as '{peer}'.",
        "Nothing was sent. If it was made anew, pair it again by its fingerprint.",
    ),
    "peer.unreachable": Message(
        "The instance '{peer}' at {url} does not answer: {reason}.",
        "Start it with: keystead serve, then repeat.",
    ),
    "peer.refused": Message("The instance '{peer}' refused: {reason}", "{advice}"),
    "peer.answer": Message(
        "The instance '{peer}' gave an answer that cannot be read.",
        "Check that both run the same version of Keystead.",
    ),
    "message.invalid": Message(
        "The message cannot be read: {reason}.", "Check that both run the same version of Keystead."
    ),
    "message.denied": Message(
        "The message was refused.", "See the reason in the receiving instance's audit log."
    ),
    # exchange
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
    # clone
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
    "unexpected": Message(
        "Something went wrong that should not: {reason}.",
        "Please report it; {switch}=1 in the environment shows where it happened.",
    ),
}
