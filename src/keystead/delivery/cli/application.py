"""All commands under one name."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import typer

from keystead import __version__
from keystead.base.errors import KeysteadError, Unavailable
from keystead.delivery.cli import (
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
    tables,
)
from keystead.delivery.cli.exits import EXIT_CODES, UNEXPECTED
from keystead.delivery.cli.wiring import Wiring

TRACE = "KEYSTEAD_TRACE"
# importing them adds their commands to the group of keys
_OF_KEYS = (key_endings, key_imports, key_rules)
_GROUPS = {
    "root": instances.root,
    "table": tables.tables,
    "module": modules.modules,
    "key": keys.key_commands,
    "policy": people.policies,
    "user": people.users,
    "field": fields.field_commands,
    "job": jobs.jobs,
    "peer": peers.peers,
    "exchange": peers.exchange,
    "clone": clones.clones,
    "audit": people.audit,
}
_COMMANDS = (
    instances.init,
    instances.serve,
    instances.config,
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
        command.main(list(arguments), prog_name="keystead", obj=wiring)
    except KeysteadError as error:
        output.complain(error, as_json)
        return EXIT_CODES[error.family]
    except OSError as error:
        reason = error.strerror or type(error).__name__
        refusal = Unavailable("file.unusable", file=error.filename or "A file", reason=reason)
        output.complain(refusal, as_json)
        return EXIT_CODES[refusal.family]
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else UNEXPECTED
    except Exception as error:
        if TRACE in os.environ:
            traceback.print_exc(file=sys.stderr)
        reason = type(error).__name__
        output.complain(KeysteadError("unexpected", reason=reason, switch=TRACE), as_json)
        return UNEXPECTED
    return 0
