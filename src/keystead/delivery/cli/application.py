"""All commands under one name."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

import click
import typer

from keystead import __version__
from keystead.base.errors import KeysteadError
from keystead.delivery.cli import (
    clones,
    fields,
    instances,
    jobs,
    keys,
    output,
    peers,
    people,
    tables,
)
from keystead.delivery.cli.exits import EXIT_CODES, UNEXPECTED
from keystead.delivery.cli.wiring import Wiring

_GROUPS = {
    "root": instances.root,
    "table": tables.tables,
    "module": keys.modules,
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
        help="Keeps keys and everything that depends on them, and changes keys without losing a value.",
    )

    @app.callback(invoke_without_command=True)
    def version(show_version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
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
        result = command.main(list(arguments), prog_name="keystead", standalone_mode=False, obj=wiring)
    except KeysteadError as error:
        output.complain(error, as_json)
        return EXIT_CODES[error.family]
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort of the program
        if "KEYSTEAD_TRACE" in __import__("os").environ:
            traceback.print_exc(file=sys.stderr)
        output.complain(KeysteadError("unexpected", reason=type(error).__name__), as_json)
        return UNEXPECTED
    return result if isinstance(result, int) else 0
