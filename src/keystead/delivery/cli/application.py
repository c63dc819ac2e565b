"""All commands under one name."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from keystead import __version__
from keystead.base.errors import Invalid, KeysteadError, Unavailable
from keystead.delivery.cli import (
    accounts,
    attachments,
    audit,
    backups,
    clones,
    fields,
    instances,
    jobs,
    key_endings,
    key_imports,
    key_rules,
    keys,
    modules,
    output,
    peers,
    people,
    policies,
    processes,
    properties,
    roots,
    schedules,
    tables,
)
from keystead.delivery.cli.exits import EXIT_CODES, INTERRUPTED, UNEXPECTED, USAGE
from keystead.delivery.cli.wiring import Wiring

TRACE = "KEYSTEAD_TRACE"
# what a wrong command line raises; typer does not name it
_USAGE: type[Exception] = typer.BadParameter.__bases__[0]
people.users.command("password")(accounts.set_password)
people.users.add_typer(accounts.token, name="token")
# importing them adds their commands to the group of keys
_OF_KEYS = (key_endings, key_imports, key_rules)
_GROUPS = {
    "root": roots.root,
    "table": tables.tables,
    "attachment": attachments.attachments,
    "module": modules.modules,
    "key": keys.key_commands,
    "policy": policies.policies,
    "user": people.users,
    "group": people.groups,
    "property": properties.properties,
    "schedule": schedules.schedules,
    "field": fields.field_commands,
    "job": jobs.jobs,
    "process": processes.processes,
    "peer": peers.peers,
    "exchange": peers.exchange,
    "clone": clones.clones,
    "audit": audit.audit,
}
_COMMANDS = (
    instances.init,
    instances.serve,
    instances.worker,
    instances.config,
    backups.backup,
    backups.restore,
    backups.upgrade,
    tables.load,
    tables.show,
    fields.encrypt,
    fields.rekey,
    fields.census,
)


def application() -> typer.Typer:
    """The command line of Keystead."""
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

    for command in _COMMANDS:
        app.command()(command)
    for name, group in _GROUPS.items():
        app.add_typer(group, name=name)
    return app


def run(wiring: Wiring, arguments: Sequence[str]) -> int:
    """Run one command line; its exit code. Errors become one line of what and one of what to do."""
    as_json = "--json" in arguments
    command = typer.main.get_command(application())
    try:
        result = command.main(
            list(arguments), prog_name="keystead", obj=wiring, standalone_mode=False
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
