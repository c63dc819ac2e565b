"""`peer`, `exchange`: paired instances and the keys they ask each other for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from keystead.database.integrity import Fields
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.waiting import wait_for_job
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, WaitOption, actor, opened, wiring
from keystead.exchange import job as asking
from keystead.exchange import peers as pairing
from keystead.exchange import service
from keystead.exchange.identity import own_identity
from keystead.exchange.model import Status
from keystead.instance.opening import Instance
from keystead.keys import service as keys

peers = typer.Typer(no_args_is_help=True, help="Paired instances.")
exchange = typer.Typer(no_args_is_help=True, help="Resource exchange requests: keys on the move.")
_COLUMNS = ("request", "side", "peer", "frequency", "status", "moved", "total")


@peers.command("identity")
def identity(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Print this instance's fingerprint, to be compared by whoever pairs with it.

    Example: keystead peer identity test
    """
    instance = opened(ctx, home)
    settings = instance.settings
    own = own_identity(instance.hierarchy, settings.name, instance.certificate)
    emit(
        {
            "name": own.name,
            "instance_id": own.instance_id,
            "url": settings.url,
            "fingerprint": own.fingerprint,
        },
        as_json,
        f"{own.name}  {settings.url}\n{own.fingerprint}",
    )


@peers.command("add")
def add(
    ctx: typer.Context,
    home: HomeArgument,
    url: Annotated[str, typer.Argument(help="Where the other instance is served.")],
    fingerprint: Annotated[
        str, typer.Option(help="Its fingerprint, told to you by someone you trust.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Pair with another instance. Do it on both sides; each pins the other's keys and certificate.

    Example: keystead peer add prod https://test.example:8420 --fingerprint 0a1b2c3d-...
    """
    instance = opened(ctx, home)
    channel = wiring(ctx).channel(instance)
    peer = pairing.pair_at(
        instance.database, instance.hierarchy, channel, url, fingerprint, actor()
    )
    emit(
        {"peer": peer.identity.name, "instance_id": peer.instance_id, "url": url},
        as_json,
        f"Paired with '{peer.identity.name}' at {url}.",
    )


@peers.command("list")
def list_peers(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the paired instances.

    Example: keystead peer list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [
            {
                "peer": peer.identity.name,
                "url": peer.url,
                "instance_id": peer.instance_id,
                "fingerprint": peer.identity.fingerprint,
            }
            for peer in pairing.listed(tx, instance.hierarchy)
        ]
    empty = "No paired instance yet. Pair one with: keystead peer add HOME URL --fingerprint F"
    headings = ("peer", "url", "instance id", "fingerprint")
    emit(found, as_json, table(headings, [tuple(f.values()) for f in found], empty))


@peers.command("remove")
def remove(
    ctx: typer.Context,
    home: HomeArgument,
    name: Annotated[str, typer.Argument(help="The paired instance.")],
    as_json: JsonOption = False,
) -> None:
    """Forget a paired instance.

    Example: keystead peer remove prod test
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        pairing.unpair(tx, instance.hierarchy, name, actor())
    emit({"peer": name}, as_json, f"'{name}' is not paired any more.")


@exchange.command("list")
def list_requests(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the exchange requests of both directions, oldest first.

    Example: keystead exchange list test
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        names = pairing.names(tx, instance.hierarchy)
        found = [_shown(row, names) for row in service.listed(tx, instance.hierarchy)]
    shown = [tuple(f[c] for c in _COLUMNS) for f in found]
    emit(found, as_json, table(_COLUMNS, shown, "No exchange request yet."))


@exchange.command("request")
def request(
    ctx: typer.Context,
    home: HomeArgument,
    source: Annotated[str, typer.Option("--from", help="The paired instance that has the keys.")],
    module: Annotated[list[str], typer.Option(help="A module to ask for; may be repeated.")],
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Ask a paired source for keys; granted only by a policy of the source.

    So far only a clone makes such a policy: a request made by hand stays pending on both sides.

    Example: keystead exchange request test --from prod --module people
    """
    instance = opened(ctx, home)
    hierarchy = instance.hierarchy
    with instance.database.transaction() as tx:
        peer = pairing.by_name(tx, hierarchy, source)
        specs = [
            keys.specification(tx, hierarchy, keys.module(tx, hierarchy, name)["sys_id"])["sys_id"]
            for name in dict.fromkeys(module)
        ]
        _, job_id = asking.request(tx, hierarchy, peer, specs, actor=actor())
    _report(instance, job_id, wait, as_json)


@exchange.command("refresh")
def refresh(
    ctx: typer.Context,
    home: HomeArgument,
    request_id: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")],
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Ask the source again about a pending request.

    Example: keystead exchange refresh test 01a20127e674700287092c0de324d26c
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        job_id = asking.refresh(tx, instance.hierarchy, request_id, actor())
    _report(instance, job_id, wait, as_json)


def _report(instance: Instance, job_id: str, wait: bool, as_json: bool) -> None:
    if not wait:
        emit({"job": job_id}, as_json, f"The job {job_id} waits to be picked up.")
        return
    job = wait_for_job(instance, job_id)
    with instance.database.snapshot() as tx:
        row = service.get(tx, instance.hierarchy, job["counts"]["request_id"])
        found = _shown(row, pairing.names(tx, instance.hierarchy))
    shown = table(_COLUMNS, [tuple(found[c] for c in _COLUMNS)], "")
    if row["status"] == Status.PENDING:
        shown += "\n\nThe source has not granted it. A clone that it makes with its keys does."
    emit(found, as_json, shown)


def _shown(row: Fields, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "request": row["sys_id"],
        "side": row["side"],
        "peer": names.get(row["peer_id"], row["peer_id"]),
        "peer_id": row["peer_id"],
        "frequency": row["frequency"],
        "status": row["status"],
        "moved": row["moved_key_count"],
        "total": row["total_key_count"],
        "clone": row["clone_id"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
