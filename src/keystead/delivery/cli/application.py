"""All commands under one name."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from keystead import __version__
from keystead.base.errors import Invalid, KeysteadError, Unavailable
from keystead.delivery.cli import output
from keystead.delivery.cli.deferred import Deferred
from keystead.delivery.cli.exits import EXIT_CODES, INTERRUPTED, UNEXPECTED, USAGE

if TYPE_CHECKING:
    from keystead.delivery.cli.wiring import Wiring

TRACE = "KEYSTEAD_TRACE"
# what a wrong command line raises; typer does not name it
_USAGE: type[Exception] = typer.BadParameter.__bases__[0]
_COMMANDS = (
    Deferred("init", "Make an instance in an empty folder.", "instances:init"),
    Deferred("serve", "Serve an instance: its peers over HTTPS, and its jobs.", "instances:serve"),
    Deferred(
        "worker",
        "Run an instance's jobs beside what serves it, from its home or a copy on another machine.",
        "instances:worker",
    ),
    Deferred(
        "config",
        "Print the settings in force: defaults, then HOME/instance.toml, then the environment.",
        "instances:config",
    ),
    Deferred(
        "backup", "Write an encrypted backup, also while the instance is served.", "backups:backup"
    ),
    Deferred(
        "restore",
        "Restore a backup into an empty folder, on this machine or another; every value is opened.",
        "backups:restore",
    ),
    Deferred("upgrade", "Take the home of an older version along to this one.", "backups:upgrade"),
    Deferred(
        "load",
        "Make a table from a file: all of it, or nothing with the line and column of what is"
        " wrong.",
        "tables:load",
    ),
    Deferred(
        "show",
        "Show rows as a user may see them: without the right to decrypt, a value is empty.",
        "tables:show",
    ),
    Deferred(
        "encrypt",
        "Mass encryption: encrypt every plain value of a table's encrypted columns, and seal them.",
        "fields:encrypt",
    ),
    Deferred(
        "rekey",
        "Mass rekeying: move every value of a table to the active keys of its modules.",
        "fields:rekey",
    ),
    Deferred(
        "census",
        "Count the values by table, column, key, mode and phase; with --open, prove that each"
        " opens.",
        "fields:census",
    ),
    Deferred("root", "The root key of an instance.", "roots:root"),
    Deferred("table", "Business tables.", "tables:tables"),
    Deferred("attachment", "Files that belong to a record.", "attachments:attachments"),
    Deferred("module", "Crypto modules: what a key is for.", "modules:modules"),
    Deferred(
        "key",
        "The keys of crypto modules.",
        "keys:key_commands",
        "key_endings",
        "key_imports",
        "key_rules",
    ),
    Deferred(
        "external",
        "External keys: in your own KMS, HSM or file, over the keys here.",
        "external:external",
        "key_files",
    ),
    Deferred("policy", "Module access policies.", "policies:policies"),
    Deferred("user", "Users and their roles.", "people:users", "accounts"),
    Deferred("group", "Groups: roles for all their members.", "people:groups"),
    Deferred("property", "System properties.", "properties:properties"),
    Deferred("schedule", "Scheduled jobs.", "schedules:schedules"),
    Deferred("field", "Which columns are encrypted.", "fields:field_commands"),
    Deferred("job", "Long work.", "jobs:jobs"),
    Deferred("process", "The processes of an instance.", "processes:processes"),
    Deferred("peer", "Paired instances.", "peers:peers"),
    Deferred("exchange", "Resource exchange requests: keys on the move.", "peers:exchange"),
    Deferred("clone", "Copies of an instance in another.", "clones:clones"),
    Deferred("audit", "What was done, by whom, and the proof of it.", "audit:audit"),
)


def application() -> TyperGroup:
    """The command line of Keystead. Commands are imported when they are used."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Keeps keys and what depends on them, and changes keys without losing a value.",
    )

    @app.callback(invoke_without_command=True)
    def version(
        show_version: bool = typer.Option(False, "--version", help="Print the version."),
    ) -> None:
        if show_version:
            output.emit({}, False, f"keystead {__version__}")
            raise typer.Exit

    group = typer.main.get_group(app)
    for command in _COMMANDS:
        group.add_command(command)
    return group


def run(compose: Callable[[], Wiring], arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. Errors become one line of what and one of what to do.

    `compose` is called by commands that need an instance.
    """
    as_json = "--json" in arguments
    try:
        result = application().main(
            list(arguments), prog_name="keystead", obj=compose, standalone_mode=False
        )
        return result if isinstance(result, int) else 0
    except _USAGE as error:
        return _usage(error, as_json)
    except typer.Abort:
        output.complain(KeysteadError("interrupted"), as_json)
        return INTERRUPTED
    except KeysteadError as error:
        output.complain(error, as_json)
        return EXIT_CODES[error.family]
    except OSError as error:
        reason = error.strerror or type(error).__name__
        refusal = Unavailable("file.unusable", file=error.filename or "A file", reason=reason)
        output.complain(refusal, as_json)
        return EXIT_CODES[refusal.family]
    except Exception as error:
        if TRACE in os.environ:
            traceback.print_exc(file=sys.stderr)
        reason = type(error).__name__
        output.complain(KeysteadError("unexpected", reason=reason, switch=TRACE), as_json)
        return UNEXPECTED


def _usage(error: Any, as_json: bool) -> int:
    """A wrong command line, in the same two lines as any other error; help for an empty one."""
    path = error.ctx.command_path if error.ctx else "keystead"
    what = str(error.format_message())
    if what.startswith("Usage:"):
        output.emit({}, False, what)
        return USAGE
    output.complain(Invalid("usage", what=what.rstrip("."), command=path), as_json)
    return USAGE
