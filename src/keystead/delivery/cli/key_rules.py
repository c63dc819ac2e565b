"""`key rules`, `key apply-rules`: life-cycle rules."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from keystead.base.errors import Invalid
from keystead.database.integrity import Fields
from keystead.delivery.cli.keys import key_commands
from keystead.delivery.cli.modules import ModuleArgument
from keystead.delivery.cli.output import emit, table
from keystead.delivery.cli.wiring import HomeArgument, JsonOption, actor, opened
from keystead.fields import due
from keystead.keys import rules as service
from keystead.keys import service as keys
from keystead.keys.rule_model import Base, Date, Direction, Rule, duration, moment, sentence

rules = typer.Typer(no_args_is_help=True, help="Life-cycle rules of a module's keys.")
key_commands.add_typer(rules, name="rules")
_DateArgument = Annotated[Date, typer.Argument(metavar="DATE", help=f"One of: {', '.join(Date)}.")]


@rules.command("add")
def add(
    ctx: typer.Context,
    home: HomeArgument,
    module: ModuleArgument,
    date: _DateArgument,
    after: Annotated[
        str | None, typer.Option(help="So long after the other date: 2y, 18m or 90d.")
    ] = None,
    before: Annotated[str | None, typer.Option(help="So long before it.")] = None,
    base: Annotated[
        Base,
        typer.Option("--of", help=f"The other date, one of: {', '.join(Base)}.", metavar="DATE"),
    ] = Base.ACTIVATED,
    at: Annotated[str | None, typer.Option(help="Or on this very date (UTC).")] = None,
    order: Annotated[int, typer.Option(min=1, help="The lowest that gives a date decides.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Add a rule: when the keys of a module expire, or are activated, renewed, rotated, destroyed.

    Example: keystead key rules add prod people rotation --before 30d --of expiration
    """
    instance = opened(ctx, home)
    if (after is None) + (before is None) + (at is None) != 2:
        raise Invalid("rule.form")
    text = after or before
    rule = Rule(
        date,
        order,
        moment(at) if at else None,
        duration(text) if text else None,
        None if at else Direction.AFTER if after else Direction.BEFORE,
        None if at else base,
    )
    with instance.database.transaction() as tx:
        row = service.add_rule(tx, instance.hierarchy, module, rule, actor())
    emit(_rule(row), as_json, f"Rule {row['sys_id']}: {sentence(row)}.")


@rules.command("list")
def list_rules(
    ctx: typer.Context, home: HomeArgument, module: ModuleArgument, as_json: JsonOption = False
) -> None:
    """List the rules of a module.

    Example: keystead key rules list prod people
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        row = keys.module(tx, instance.hierarchy, module)
        spec = keys.specification(tx, instance.hierarchy, row["sys_id"])
        found = service.rule_rows(tx, instance.hierarchy, spec["sys_id"])
    empty = "No rule yet: keys of the module live until someone rotates them."
    shown = [(row["sys_id"], row["place"], sentence(row)) for row in found]
    emit([_rule(row) for row in found], as_json, table(("rule", "order", "says"), shown, empty))


@rules.command("remove")
def remove(
    ctx: typer.Context,
    home: HomeArgument,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")],
    as_json: JsonOption = False,
) -> None:
    """Remove a rule. Dates that it gave are taken back when the rules are applied next.

    Example: keystead key rules remove prod 01a2aa2cdafd72a0a70fd8a7d1ae4d65
    """
    instance = opened(ctx, home)
    with instance.database.transaction() as tx:
        service.remove_rule(tx, instance.hierarchy, rule, actor())
    emit({"removed": rule}, as_json, f"Rule {rule} is removed.")


@rules.command("cap")
def cap(
    ctx: typer.Context,
    home: HomeArgument,
    date: _DateArgument,
    most: Annotated[
        str | None, typer.Option(help="At most so far off: 2y, 18m or 90d. Without it: no cap.")
    ] = None,
    module: Annotated[str | None, typer.Option(help="An exception for this module.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Cap the rules of all modules, or make an exception for one.

    Example: keystead key rules cap prod expiration --most 2y
    """
    instance = opened(ctx, home)
    length = duration(most) if most else None
    with instance.database.transaction() as tx:
        service.set_cap(tx, instance.hierarchy, date, length, actor(), name=module)
    said = (
        f"Rules put the {date} of a key at most {most} off." if most else "The cap is taken away."
    )
    emit({"date": date, "most": most, "module": module}, as_json, said)


@rules.command("caps")
def list_caps(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """List the caps.

    Example: keystead key rules caps prod
    """
    instance = opened(ctx, home)
    with instance.database.snapshot() as tx:
        found = [
            {
                "date": row["for_date"],
                "most": f"{row['amount']} {row['unit']}",
                "module": row["module"],
            }
            for row in service.caps(tx, instance.hierarchy)
        ]
    shown = [(f["date"], f["most"], f["module"] or "all") for f in found]
    emit(found, as_json, table(("date", "at most", "module"), shown, "No cap yet."))


@key_commands.command("apply-rules")
def apply_rules(ctx: typer.Context, home: HomeArgument, as_json: JsonOption = False) -> None:
    """Do now what rules have due, as a serving process does every minute.

    Example: keystead key apply-rules prod
    """
    instance = opened(ctx, home)
    done = due.apply_rules(instance.database, instance.hierarchy)
    shown = [(one.key_id, one.module, one.action, one.held_back or "done") for one in done]
    headings = ("key", "module", "action", "result")
    emit([asdict(one) for one in done], as_json, table(headings, shown, "Nothing is due."))


def _rule(row: Fields) -> dict[str, Any]:
    names = ("at", "amount", "unit", "direction", "relative_to")
    return {
        "rule": row["sys_id"],
        "date": row["for_date"],
        "order": row["place"],
        **{name: row[name] for name in names},
    }
