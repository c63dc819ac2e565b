"""`clone`: a copy of this instance in another, planned, proven and run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from keystead.clone import plan as planning
from keystead.clone import source
from keystead.clone.model import KeyOption
from keystead.clone.preflight import Ours
from keystead.database.integrity import Fields
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.waiting import wait_for_job
from keystead.delivery.cli.wiring import (
    HomeArgument,
    JsonOption,
    RateOption,
    WaitOption,
    actor,
    opened,
    wiring,
)
from keystead.exchange import peers

clones = typer.Typer(no_args_is_help=True, help="Copies of an instance in another.")
_NEXT = {
    KeyOption.EXCHANGE: "The target asks for its keys: keystead exchange list HOME",
    KeyOption.EXCHANGE_AND_REKEY: "The target asks for its keys and rekeys: keystead job list HOME",
    KeyOption.WITHHELD: "No key goes with it: its encrypted values stay dark there.",
}
CloneArgument = Annotated[str, typer.Argument(metavar="CLONE", help="The clone's id.")]


@clones.command("plan")
def plan(
    ctx: typer.Context,
    home: HomeArgument,
    target: Annotated[str, typer.Option(help="The paired instance to clone into.")],
    keys: Annotated[KeyOption, typer.Option(help="What happens to the keys.")] = KeyOption.EXCHANGE,
    as_json: JsonOption = False,
) -> None:
    """Plan a clone: what becomes of every encrypted value. Refused when any would be lost.

    The target must be paired on both sides, served, and empty; every encrypted column of the
    source must be encrypted whole first.

    Example: keystead clone plan prod --target test
    """
    instance = opened(ctx, home)
    channel = wiring(ctx).channel(instance)
    clone = source.make_plan(instance.database, instance.hierarchy, channel, target, keys, actor())
    content = planning.content(clone)
    rows = [
        (v["table"], v["column"], v["mode"], f"{v['encrypted']:,}", v["class"])
        for v in content["values"]
    ]
    copied = ", ".join(f"{name} ({c['rows']:,} rows)" for name, c in content["tables"].items())
    headings = ("table", "column", "mode", "values", "after the clone")
    left = "".join(
        f"\n{found['count']:,} attachments of {name} ({found['bytes']:,} bytes): {found['class']}."
        for name, found in content["attachments"].items()
    )
    modules = [
        (case["module"], case["here"], case["target"])
        for case in content["external"]
        if case["here"] != Ours.ABSENT
    ]
    external = table(("module", "keys here", "external keys of the target"), modules, "")
    emit(
        {"clone": clone["sys_id"], "target": target, **content},
        as_json,
        lambda: (
            f"Clone {clone['sys_id']} into '{target}': {copied}.\n\n"
            + table(headings, rows, "No encrypted column: every value is readable.")
            + (f"\n\n{external}" if modules else "")
            + (f"\n{left}" if left else "")
            + f"\n\nRun it with: keystead clone run {home} {clone['sys_id']}"
        ),
    )


@clones.command("run")
def run(
    ctx: typer.Context,
    home: HomeArgument,
    clone: CloneArgument,
    rate: RateOption = None,
    wait: WaitOption = True,
    as_json: JsonOption = False,
) -> None:
    """Run a planned clone. Interrupted or failed, run it again; the source does not change.

    Example: keystead clone run prod 01a20127e674700287092c0de324d26c
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        job_id = source.request(tx, instance.hierarchy, clone, actor(), rate)
        option = planning.content(planning.get(tx, instance.hierarchy, clone))["keys"]
    if not wait:
        emit({"clone": clone, "job": job_id}, as_json, f"The job {job_id} waits to be picked up.")
        return
    job = wait_for_job(instance, job_id)
    emit(
        {
            "clone": clone,
            "job": job_id,
            "rows": job["total"],
            "state": "committed",
            "started_at": job["started_at"],
            "finished_at": job["finished_at"],
        },
        as_json,
        f"Clone {clone} is in place: {job['total']:,} rows. {_NEXT[KeyOption(option)]}",
    )


@clones.command("list")
def list_clones(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the clones from here and to here, oldest first.

    Example: keystead clone list prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        names = peers.names(tx, instance.hierarchy)
        found = [_shown(row, names) for row in planning.listed(tx, instance.hierarchy)]
    headings = ("clone", "side", "peer", "keys", "state", "attempt", "created at", "committed at")
    empty = "No clone yet. Plan one with: keystead clone plan HOME --target NAME"
    emit(found, as_json, table(headings, [tuple(f.values()) for f in found], empty))


def _shown(row: Fields, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "clone": row["sys_id"],
        "side": row["side"],
        "peer": names.get(row["peer_id"], row["peer_id"]),
        "keys": planning.content(row)["keys"],
        "state": row["state"],
        "attempt": row["attempt"],
        "created_at": row["created_at"],
        "committed_at": row["committed_at"],
    }
