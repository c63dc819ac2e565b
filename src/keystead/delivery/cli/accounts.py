"""`user password`, `user token …`: how users log in."""

from __future__ import annotations

import sys
from dataclasses import asdict
from getpass import getpass
from typing import Annotated

import typer

from keystead.access import accounts
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.people import users
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened

token = typer.Typer(no_args_is_help=True, help="Tokens, which log a program in.")
users.add_typer(token, name="token")
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]
NameOption = Annotated[str, typer.Option("--name", help="What the token is for.")]


@users.command("password")
def set_password(
    ctx: typer.Context, home: HomeArgument, user: UserArgument, as_json: JsonOption = False
) -> None:
    """Give a user a password; it is asked for, or read from standard input.

    Example: keystead user password prod ada
    """
    given = asked_password(user)
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        accounts.set_password(tx, instance.hierarchy.integrity, user, given, actor())
    emit({"user": user}, as_json, f"'{user}' has a new password.")


def asked_password(user: str) -> str:
    """A user's password, asked for on a terminal or read from standard input."""
    if sys.stdin.isatty():
        return getpass(f"Password for {user}: ")
    return sys.stdin.readline().rstrip("\n")


@token.command("make")
def make(
    ctx: typer.Context,
    home: HomeArgument,
    user: UserArgument,
    name: NameOption,
    days: Annotated[int, typer.Option(min=1, max=3650, help="It expires after so many days.")] = 90,
    as_json: JsonOption = False,
) -> None:
    """Make a token for a user. It is shown once and stored nowhere.

    Example: keystead user token make prod ada --name reports
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        made = accounts.make_token(tx, instance.hierarchy.integrity, user, name, days, actor())
    emit(
        {"user": user, "name": name, "token": made, "days": days},
        as_json,
        f"Token '{name}' of '{user}', good for {days} days (shown this once):\n\n  {made}\n\n"
        f"Send it as: Authorization: Bearer TOKEN",
    )


@token.command("list")
def list_tokens(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the tokens; what logs in is not among what is shown.

    Example: keystead user token list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [asdict(one) for one in accounts.tokens(tx, instance.hierarchy.integrity)]
    empty = "No token yet. Make one with: keystead user token make HOME USER --name NAME"
    headings = ("user", "name", "created at", "expires at")
    emit(found, as_json, table(headings, [tuple(f.values()) for f in found], empty))


@token.command("end")
def end(
    ctx: typer.Context,
    home: HomeArgument,
    user: UserArgument,
    name: NameOption,
    as_json: JsonOption = False,
) -> None:
    """End a token: it logs in no more, from this moment.

    Example: keystead user token end prod ada --name reports
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        accounts.end_token(tx, instance.hierarchy.integrity, user, name, actor())
    emit({"user": user, "name": name}, as_json, f"The token '{name}' of '{user}' is ended.")
