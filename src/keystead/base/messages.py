"""The message catalogue: for each stable code, what happened and what to do about it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Message(NamedTuple):
    """Two lines; `{names}` in them are the facts given with the error."""

    what: str
    todo: str


CATALOGUE: Final[dict[str, Message]] = {
    "usage": Message("{what}.", "See how it is used with: {command} --help"),
    "interrupted": Message(
        "Interrupted.",
        "A job that was begun goes on in the server. See it with: keystead job list HOME",
    ),
    # home and root
    "home.missing": Message(
        "{home} is not an instance's home: it has no instance.toml.",
        "Name a home, or make one in a new folder with: keystead init FOLDER --name NAME",
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
    "home.foreign_schema": Message(
        "The database of {home} lacks tables that every version of Keystead has: {missing}.",
        "Check that this is the right home, or restore it from a backup.",
    ),
    # backups
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
    # integrity of Keystead's own rows
    "row.tampered": Message(
        "Row {row} of {table} is not as Keystead wrote it.",
        "Nothing that depends on it is used. Find out who changed it, and restore from a backup.",
    ),
    "table.tampered": Message(
        "The rows of {table} are not those that Keystead wrote last: {reason}.",
        "Nothing that depends on them is used. Find out who changed them, and restore from a"
        " backup.",
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
    "record.missing": Message(
        "There is no such record in '{table}'.", "Look for it with: keystead show HOME {table}"
    ),
    "record.no_key": Message(
        "The table '{table}' has no primary key, so its rows cannot be told apart.",
        "Give the table a primary key.",
    ),
    "record.refused": Message(
        "A constraint of the table '{table}' forbids that.",
        "Look for a value that must be unique, or a record that others refer to.",
    ),
    "value.denied": Message(
        "You may not write the column '{column}'.",
        "Ask for a module access policy that lets you encrypt it.",
    ),
    "value.generated": Message(
        "The column '{column}' is computed by the database.", "Leave it out."
    ),
    "value.missing": Message("The column '{column}' must have a value.", "Give it one."),
    "value.number": Message(
        "The column '{column}' takes whole numbers only.", "Give one, or leave it empty."
    ),
    "query.syntax": Message(
        "'{term}' in the query cannot be understood.",
        "Name a column of the table and compare it, as in name=Ann^cityISNOTEMPTY.",
    ),
    "query.long": Message(
        "The query has more than {most} conditions.", "Ask in several queries, or with IN."
    ),
    "query.order": Message(
        "The rows cannot be sorted by the encrypted column '{column}'.",
        "Sort by another column, or sort what you were given.",
    ),
    "query.standard": Message(
        "The column '{column}' cannot be searched: equal values are stored unequal.",
        "Search another column, or configure it with an equality preserving specification.",
    ),
    "query.operator": Message(
        "The encrypted column '{column}' can only be compared with whole values.",
        "Use =, !=, IN, NOT IN, ISEMPTY or ISNOTEMPTY.",
    ),
    "column.denied": Message(
        "You may not see the values of the column '{column}'.",
        "Ask for a module access policy that lets you decrypt it.",
    ),
    "table.keyless": Message(
        "The table '{table}' has no primary key, and no column asked for can be shown.",
        "Ask for a column that is not encrypted as well.",
    ),
    "query.denied": Message(
        "You may not search the column '{column}'.",
        "Ask for a module access policy that lets you decrypt it.",
    ),
    # users and policies
    "user.missing": Message(
        "There is no user '{user}'.", "See who there is with: keystead user list HOME"
    ),
    "login.needed": Message(
        "You must say who you are.", "Send a name and password, or a token made for you."
    ),
    "login.refused": Message(
        "That name and password, or that token, log nobody in.",
        "Check both; a token may have expired.",
    ),
    "password.length": Message(
        "The password must have {least} to {most} characters.", "Choose another."
    ),
    "token.exists": Message(
        "The user '{user}' has a token '{token}'.", "Choose another name for it."
    ),
    "token.missing": Message(
        "The user '{user}' has no token '{token}'.", "See them with: keystead user token list HOME"
    ),
    "body.form": Message(
        "The body is not a JSON object of columns and values.", "Send texts, numbers or null."
    ),
    "parameter.number": Message(
        "The parameter '{parameter}' is not a whole number.", "Give one from 0 up."
    ),
    "user.exists": Message("The user '{user}' exists.", "Choose another name."),
    "user.impersonator": Message(
        "Nobody is named who would impersonate '{user}'.", "Say with --as USER who acts."
    ),
    "group.missing": Message(
        "There is no group '{group}'.", "See what there is with: keystead group list HOME"
    ),
    "group.exists": Message("The group '{group}' exists.", "Choose another name."),
    "group.member": Message(
        "'{user}' is in the group '{group}' already.", "Nothing is to be done."
    ),
    "group.stranger": Message(
        "'{user}' is not in the group '{group}'.", "See who is with: keystead group list HOME"
    ),
    "role.held": Message("'{holder}' has the role '{role}' already.", "Nothing is to be done."),
    "role.not_held": Message(
        "'{holder}' was not given the role '{role}'.",
        "A role that comes from a group is taken from the group, or the user out of it.",
    ),
    "policy.exists": Message(
        "The module '{module}' has this policy for {target}.",
        "See it, and whether it is active, with: keystead policy list HOME",
    ),
    "policy.named": Message("There is a policy named '{name}'.", "Choose another name."),
    "policy.missing": Message(
        "There is no policy '{policy}' for callers.",
        "See their ids and names with: keystead policy list HOME",
    ),
    "policy.ambiguous": Message(
        "Several policies are named '{policy}'.",
        "Name it by its id. See the ids with: keystead policy list HOME",
    ),
    "policy.exchange": Message(
        "A policy of key exchange is not made by hand.",
        "A clone makes its own with: keystead clone run HOME CLONE",
    ),
    "policy.impersonation": Message(
        "Only a policy for a role can allow impersonation.", "Leave --impersonation out."
    ),
    "policy.target": Message(
        "A policy of the type {type} takes no role and no scope.", "Leave --role and --scope out."
    ),
    "policy.debug": Message(
        "You may not see how access is decided.",
        "Ask for the role sn_kmf.admin or sn_kmf.cryptographic_manager.",
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
    # audit
    "audit.entry": Message(
        "Entry {sequence} of the audit log is not in the form that Keystead writes.",
        "Find out who changed it; the whole log is checked with: keystead audit verify HOME",
    ),
    "audit.behind": Message(
        "The database does not agree with head {number}, signed {at}: {reason}.",
        "See what differs (audit verify). If you restored it yourself, take it as it is with:"
        " keystead audit accept HOME --reason TEXT",
    ),
    "audit.file": Message(
        "{file} lacks head {number}, which the database has.",
        "Put the file back, or take it as lost with: keystead audit accept HOME --reason TEXT",
    ),
    "audit.chain": Message(
        "Head {number} does not follow head {before}.",
        "A head between them was removed or changed. Check with: keystead audit verify HOME",
    ),
    "audit.order": Message(
        "Entry {sequence} stands where entry {expected} should.",
        "Entries were removed, added or moved. Ask for the export again.",
    ),
    "audit.root": Message(
        "Head {number}, signed {at} over {size} entries, does not fit the entries before it.",
        "Entries were changed, removed or added. Ask for the export again.",
    ),
    "audit.line": Message(
        "The line is neither an entry nor a head in canonical form.", "Ask for the export again."
    ),
    "audit.export": Message(
        "The file is not an exported audit log.", "Make one with: keystead audit export HOME FILE"
    ),
    "audit.fingerprint": Message(
        "{file} is from an instance with the fingerprint {shown}, not the one you gave.",
        "Compare it with: keystead peer identity HOME, run there by someone you trust.",
    ),
    "audit.arguments": Message(
        "Either a home is checked, or an exported log with its fingerprint.",
        "Give HOME, or --from FILE --fingerprint F.",
    ),
    "audit.differs": Message(
        "{count} things are not as Keystead wrote them.",
        "They are listed above. Find out who changed them, and restore from a backup.",
    ),
    "audit.unsigned": Message(
        "No signed head covers entry {sequence} yet.", "Sign one with: keystead audit sign HOME"
    ),
    "audit.missing": Message(
        "The audit log has no entry {sequence}.", "See the newest with: keystead audit list HOME"
    ),
    "audit.sequence": Message(
        "The audit log has an entry {sequence} already.",
        "Repeat. If it stays so, look for what differs with: keystead audit verify HOME",
    ),
    "audit.node": Message(
        "The hashes kept with entry {sequence} of the audit log are gone or changed.",
        "Nothing was done. Check with: keystead audit verify HOME",
    ),
    "audit.proof": Message(
        "The proof does not hold: {what}.",
        "The log, the proof or the head was changed. Check with: keystead audit verify HOME",
    ),
    # peers
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
