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
    "key.none_so": Message(
        "The module '{module}' has no key that is {states}.",
        "See its keys with: keystead key list HOME",
    ),
    "key.ambiguous": Message(
        "The module '{module}' has {count} such keys.",
        "Name one by its id; see them with: keystead key list HOME",
    ),
    "key.not_of_module": Message(
        "The key {key} is not one of the module '{module}'.",
        "See its keys with: keystead key list HOME",
    ),
    "key.suspended": Message(
        "The key of the module '{module}' is suspended.",
        "Resume it with: keystead key resume HOME {key}. Or replace it with: keystead key revoke"
        " HOME {key} --reason TEXT",
    ),
    "key.is_suspended": Message(
        "The key {key} is suspended.", "Resume it with: keystead key resume HOME {key}"
    ),
    "key.no_expiry": Message(
        "The key {key} has no expiry.",
        "Give its module one with: keystead key rules add HOME MODULE expiration --after 2y",
    ),
    "key.not_expired": Message(
        "The key {key} does not expire before {at}.",
        "Rotate it with: keystead key rotate HOME MODULE",
    ),
    "key.reason": Message(
        "A reason is one line of 1 to 200 characters.", "Say why, by the option --reason."
    ),
    "key.supplied": Message(
        "The key {key} was supplied by a customer: it cannot be revoked.",
        "Rotate to another with: keystead key rotate HOME MODULE --to KEY",
    ),
    "key.destroyed": Message(
        "The key {key} was destroyed here for good.",
        "Nothing was imported. Values under it stay unreadable here, as was decided.",
    ),
    "key.used_up": Message(
        "The key {key} may not encrypt more than {limit} values.",
        "Cancel the job if one stopped here, and rotate with: keystead key rotate HOME MODULE",
    ),
    "key.too_many": Message(
        "{count} values are more than the {limit} that one key of '{module}' may encrypt.",
        "Encrypt the columns of the table by several modules.",
    ),
    "key.supply": Message(
        "The keys of the module '{module}' are supplied by a customer, and none is waiting.",
        "Bring one with: keystead key import HOME MODULE --token FILE --wrapped FILE",
    ),
    "token.invalid": Message(
        "Token failed validation.", "Give the unmodified token that was made for this module."
    ),
    "token.used": Message(
        "Token failed validation: it was used.",
        "Make another with: keystead key import-token HOME MODULE",
    ),
    "token.expired": Message(
        "Token failed validation: it has expired.",
        "Make another with: keystead key import-token HOME MODULE",
    ),
    "supplied.unwrap": Message(
        "The wrapped key does not open.",
        "Wrap the key itself, with the public key that came with the token, by RSA-OAEP-SHA256.",
    ),
    "supplied.size": Message(
        "The wrapped key has {size} bits, not {wanted}.",
        "Wrap the key's own bytes, not a text form of them.",
    ),
    "supplied.known": Message(
        "The key {key} has these bytes.", "Bring another key; one key serves one purpose."
    ),
    "rule.missing": Message(
        "There is no life-cycle rule '{rule}'.",
        "See them with: keystead key rules list HOME MODULE",
    ),
    "rule.form": Message(
        "A rule has either a date, or a duration before or after another date.",
        "See the forms with: keystead key rules add --help",
    ),
    "rule.circle": Message(
        "The {date} of a key cannot be counted from its {base}, which comes after it.",
        "Count it from another date.",
    ),
    "rule.duration": Message(
        "'{text}' is not a duration.", "Write a number and y, m or d, such as 2y, 18m or 90d."
    ),
    "rule.time": Message(
        "'{text}' is not a date.", "Write it like 2030-01-31 or 2030-01-31T12:00:00Z, in UTC."
    ),
    "rule.past": Message("{at} is over.", "Give a date that is to come."),
    "rule.place": Message(
        "The module '{module}' has a rule number {order} for {date}.",
        "Give another number by the option --order, or remove that rule.",
    ),
    "rule.beyond": Message(
        "A rule of '{module}' for {date} goes beyond {most}, the most that is allowed.",
        "Shorten it, or make an exception with: keystead key rules cap HOME DATE --module MODULE",
    ),
    "rule.too_far": Message(
        "A date would lie beyond the year 9999.", "Shorten the durations of the rules."
    ),
    "quorum.missing": Message(
        "No quorum is set, so a key that values need cannot be destroyed.",
        "Name the people with: keystead key quorum HOME --needed 2 --person NAME --person NAME",
    ),
    "quorum.set": Message(
        "The quorum is set.", "It cannot be changed; see it with: keystead key quorum HOME"
    ),
    "quorum.size": Message(
        "A quorum of {needed} among {people} people is not possible.",
        "Need at least two, and name as many people or more.",
    ),
    "destroy.missing": Message(
        "There is no request '{request}' to destroy a key.",
        "See them with: keystead key destroy-requests HOME",
    ),
    "destroy.open": Message(
        "A request to destroy the key {key} is open.",
        "Approve it with: keystead key approve-destroy HOME REQUEST",
    ),
    "destroy.over": Message(
        "The request {request} is done or too old.",
        "Make a new one with: keystead key destroy HOME KEY --quorum --reason TEXT",
    ),
    "destroy.denied": Message(
        "{person} may not approve this request.",
        "People of the quorum approve; whoever asked does not.",
    ),
    "destroy.approved": Message(
        "{person} has approved this request.", "Wait for the others of the quorum."
    ),
    "destroy.more": Message(
        "More than the {count} values that were asked for need the key {key} now.",
        "Make a new request when this one has expired.",
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
