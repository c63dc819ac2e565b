"""Whether a clone may take modules along whose keys are, or are not, under external keys.

A key under an external key leaves only to a module under the same one, so that pulling it darkens
the copy too. `MATRIX` says for each case why not, or None where the clone may go on. It is asked
when a clone is planned and again when it is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from keystead.base.errors import Conflict
from keystead.clone.model import KeyOption
from keystead.external import standing
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy


class Ours(StrEnum):
    """How a module stands at the source."""

    ABSENT = "internal; no external key is here"
    INTERNAL = "internal"
    ENABLED = "external, enabled"
    DARK = "external, not enabled"
    MOVING = "external, its keys are still moving"


class Theirs(StrEnum):
    """What the target has of the external key of a module; it says so itself."""

    UNKNOWN = "a release without external keys"
    NONE = "no external key"
    OTHER = "other external keys"
    ENABLED = "the same, enabled"
    DARK = "the same, not enabled"


_OLD: Final = "the target's release knows no external keys"
_BARE: Final = "the target has no external key, so the copy would escape this one"
_DIFFERS: Final = "the target has other external keys than this one"
_ONLY_THERE: Final = "the target has external keys and this instance has none"
_DARK_HERE: Final = "its external key may not be used here now"
_DARK_THERE: Final = "its external key may not be used at the target now"
_MOVING: Final = "its keys are not all under the external key that it is to be under"

_SENT: Final[dict[tuple[Ours, Theirs], str | None]] = {
    (Ours.ABSENT, Theirs.UNKNOWN): None,
    (Ours.ABSENT, Theirs.NONE): None,
    (Ours.ABSENT, Theirs.OTHER): _ONLY_THERE,
    (Ours.INTERNAL, Theirs.UNKNOWN): None,
    (Ours.INTERNAL, Theirs.NONE): None,
    (Ours.INTERNAL, Theirs.OTHER): None,
    (Ours.ENABLED, Theirs.UNKNOWN): _OLD,
    (Ours.ENABLED, Theirs.NONE): _BARE,
    (Ours.ENABLED, Theirs.OTHER): _DIFFERS,
    (Ours.ENABLED, Theirs.ENABLED): None,
    (Ours.ENABLED, Theirs.DARK): _DARK_THERE,
    (Ours.DARK, Theirs.UNKNOWN): _OLD,
    (Ours.DARK, Theirs.NONE): _BARE,
    (Ours.DARK, Theirs.OTHER): _DIFFERS,
    (Ours.DARK, Theirs.ENABLED): _DARK_HERE,
    (Ours.DARK, Theirs.DARK): _DARK_HERE,
    (Ours.MOVING, Theirs.UNKNOWN): _OLD,
    (Ours.MOVING, Theirs.NONE): _BARE,
    (Ours.MOVING, Theirs.OTHER): _DIFFERS,
    (Ours.MOVING, Theirs.ENABLED): _MOVING,
    (Ours.MOVING, Theirs.DARK): _MOVING,
}
# no key leaves: what matters is what the target makes of the module
_WITHHELD: Final[dict[tuple[Ours, Theirs], str | None]] = {
    **dict.fromkeys(_SENT),
    (Ours.ENABLED, Theirs.UNKNOWN): _OLD,
    (Ours.DARK, Theirs.UNKNOWN): _OLD,
    (Ours.MOVING, Theirs.UNKNOWN): _OLD,
    (Ours.ENABLED, Theirs.DARK): _DARK_THERE,
    (Ours.DARK, Theirs.DARK): _DARK_THERE,
    (Ours.MOVING, Theirs.DARK): _DARK_THERE,
}
MATRIX: Final[dict[tuple[KeyOption, Ours, Theirs], str | None]] = {
    (option, *case): reason
    for option, table in (
        (KeyOption.EXCHANGE, _SENT),
        (KeyOption.EXCHANGE_AND_REKEY, _SENT),
        (KeyOption.WITHHELD, _WITHHELD),
    )
    for case, reason in table.items()
}


@dataclass(frozen=True, slots=True)
class Told:
    """What a target says of its external keys: whether each may be used, by its reference.

    Nothing where it says nothing, as older releases do.
    """

    enabled: dict[str, bool] | None

    def of(self, reference: str | None) -> Theirs:
        """What it has of one external key, or (None) of any."""
        if self.enabled is None:
            return Theirs.UNKNOWN
        if reference is None or reference not in self.enabled:
            return Theirs.OTHER if self.enabled else Theirs.NONE
        return Theirs.ENABLED if self.enabled[reference] else Theirs.DARK


SILENT: Final = Told(None)


@dataclass(frozen=True, slots=True)
class Case:
    """One module on both sides; `reason` is why it blocks the clone."""

    module: str
    ours: Ours
    theirs: Theirs
    reason: str | None

    def as_json(self) -> dict[str, str | None]:
        """The case as plain data."""
        return {
            "module": self.module,
            "here": self.ours.value,
            "target": self.theirs.value,
            "blocked": self.reason,
        }


def tell(tx: Connection, hierarchy: Hierarchy) -> list[dict[str, Any]]:
    """What this instance, as a target, says of its external keys."""
    return [
        {"reference": one.reference, "enabled": one.is_enabled}
        for one in standing.standings(tx, hierarchy).values()
    ]


def told(answer: Any) -> Told:
    """What a target said; what is in no form that is known counts as nothing."""
    try:
        return Told({str(one["reference"]): one["enabled"] is True for one in answer})
    except (KeyError, TypeError):
        return SILENT


def cases(tx: Connection, hierarchy: Hierarchy, option: KeyOption, target: Told) -> list[Case]:
    """Every module, in order of name, and whether it may go along."""
    here = standing.standings(tx, hierarchy)
    chosen = standing.of_modules(tx, hierarchy)
    moving = _moving(tx, hierarchy)
    found = []
    for module in keys.all_modules(tx, hierarchy):
        configuration = chosen.get(module["sys_id"])
        if configuration is None:
            ours, reference = Ours.INTERNAL if here else Ours.ABSENT, None
        else:
            one = here.get(configuration["sys_id"])
            ours = Ours.ENABLED if one is not None and one.is_enabled else Ours.DARK
            ours = Ours.MOVING if module["sys_id"] in moving else ours
            reference = str(configuration["reference"])
        theirs = target.of(reference)
        found.append(Case(module["name"], ours, theirs, MATRIX[option, ours, theirs]))
    return found


def refuse_blocked(found: list[Case]) -> None:
    """Refuse a clone that a module blocks.

    Raises:
        Conflict: naming the first, with the reason.
    """
    for case in found:
        if case.reason is not None:
            raise Conflict(
                "clone.refused",
                reason=f"the module '{case.module}' cannot go along: {case.reason}",
                advice="See both sides with: keystead external status HOME",
            )


def _moving(tx: Connection, hierarchy: Hierarchy) -> set[str]:
    """The modules of which keys are not under the external key that they are to be under alone."""
    modules = {s["sys_id"]: s["module_id"] for s in keys.all_specifications(tx, hierarchy)}
    chosen = standing.of_modules(tx, hierarchy)
    references = standing.references(tx, hierarchy)
    return {
        modules[row["spec_id"]]
        for row in keys.all_keys(tx, hierarchy)
        if row["material"] is not None
        and modules[row["spec_id"]] in chosen
        and (row["ekek_id"] is None or len(references[row["sys_id"]]) > 1)
    }
