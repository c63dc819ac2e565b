"""`key drop`, `key destroy` and the quorum: the end of keys."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keystead.access import accounts
from keystead.database.integrity import Fields
from keystead.delivery.cli.accounts import asked_password
from keystead.delivery.cli.keys import key_commands
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.fields import census, endings
from keystead.instance.opening import Instance
from keystead.keys import service as keys

_KeyId = Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")]


@key_commands.command("drop")
def drop(
    ctx: typer.Context, home: HomeArgument, key_id: _KeyId, as_json: JsonOption = False
) -> None:
    """Destroy a key received from another instance, once the census shows that nothing needs it.

    Example: keystead key drop test 8d378122d6b7867b5a26d2b52e3f4817
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        row = endings.drop(tx, instance.database, instance.hierarchy, key_id, actor())
    instance.database.scrub()
    emit(_state(row), as_json, f"Key {key_id} is destroyed here; no value needed it.")


@key_commands.command("destroy")
def destroy(
    ctx: typer.Context,
    home: HomeArgument,
    key_id: _KeyId,
    quorum: Annotated[
        bool, typer.Option("--quorum", help="Values need it: ask the quorum to destroy it.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Why, with --quorum.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Destroy a deactivated or revoked key for good, once nothing needs it. This cannot be undone.

    With --quorum it is only asked for, and done when enough people have approved it; the values
    that need the key can never be read again.

    Example: keystead key destroy prod 8d378122d6b7867b5a26d2b52e3f4817
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    needs = census.needs(instance.database, hierarchy)
    with instance.database.transaction() as tx:
        row = keys.key(tx, hierarchy, key_id)
        if quorum:
            request = keys.request_destruction(tx, hierarchy, row, needs, reason, actor())
        else:
            row = keys.destroy(tx, hierarchy, row, needs, actor())
    if quorum:
        said = f"Request {request['sys_id']} waits for {request['needed']} approvals."
        emit(_request(request), as_json, said)
        return
    _clear(instance)
    emit(_state(row), as_json, f"Key {key_id} is destroyed; nothing needed it.")


@key_commands.command("approve-destroy")
def approve_destroy(
    ctx: typer.Context,
    home: HomeArgument,
    request_id: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")],
    user: Annotated[
        str | None,
        typer.Option("--as", metavar="USER", help="Who approves; the password is asked for."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a request to destroy a key. The last approval that is needed destroys it at once.

    With --as a user of the instance approves by his password, as 'user:NAME'; without it whoever
    runs the command, as 'os:NAME'.

    Example: keystead key approve-destroy prod 01a2aa2cdafd72a0a70fd8a7d1ae4d65 --as ann
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    who = actor() if user is None else _proven(instance, user)
    needs = census.needs(instance.database, hierarchy)
    with instance.database.transaction() as tx:
        request = keys.approve_destruction(tx, hierarchy, request_id, needs, who)
    if request["destroyed_at"]:
        _clear(instance)
        said = f"Key {request['key_id']} is destroyed."
    else:
        said = f"{len(request['approvers'])} of {request['needed']} approvals are given."
    emit(_request(request), as_json, said)


@key_commands.command("destroy-requests")
def destroy_requests(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the requests to destroy keys that values need.

    Example: keystead key destroy-requests prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [_request(row) for row in keys.destroy_requests(tx, instance.hierarchy)]
    headings = ("request", "key", "requester", "reason", "lost values", "approved", "expires")
    shown = [
        (
            *(f["request"], f["key"], f["requester"], f["reason"], f["lost_values"]),
            f"{len(f['approvers'])} of {f['needed']}",
            "destroyed" if f["destroyed_at"] else f["expires_at"][:10],
        )
        for f in found
    ]
    emit(found, as_json, table(headings, shown, "No such request."))


@key_commands.command("quorum")
def quorum(
    ctx: typer.Context,
    home: HomeArgument,
    person: Annotated[
        list[str] | None,
        typer.Option(help="Who may approve, as the audit log names people; repeat it."),
    ] = None,
    needed: Annotated[int, typer.Option(min=2, help="How many of them it takes.")] = 2,
    as_json: JsonOption = False,
) -> None:
    """Show who may approve the destruction of a key that values need; or set it, once.

    Example: keystead key quorum prod --needed 2 --person os:ann --person os:ben --person os:eve
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        if person:
            keys.set_quorum(tx, instance.hierarchy, person, needed, actor())
        row = keys.quorum(tx, instance.hierarchy)
    data = {"needed": row["needed"], "people": row["people"]}
    emit(data, as_json, f"{row['needed']} of {', '.join(row['people'])}.")


def _proven(instance: Instance, user: str) -> str:
    """The actor who a user is that gives his password."""
    password = asked_password(user)
    log_in = accounts.LogIn(instance.hierarchy.integrity)
    return f"user:{log_in.by_password(instance.database, user, password)}"


def _clear(instance: Instance) -> None:
    """Clear old copies of the bytes; where another program is in the way, say so and go on."""
    error = endings.clear(instance.database)
    if error is not None:
        from keystead.delivery.cli.output import complain

        complain(error, as_json=False)


def _state(row: Fields) -> dict[str, Any]:
    return {"key": row["sys_id"], "version": row["version"], "state": row["state"]}


def _request(row: Fields) -> dict[str, Any]:
    names = (
        *("requester", "reason", "lost_values", "needed", "people", "approvers"),
        *("created_at", "expires_at", "destroyed_at"),
    )
    return {"request": row["sys_id"], "key": row["key_id"], **{name: row[name] for name in names}}
