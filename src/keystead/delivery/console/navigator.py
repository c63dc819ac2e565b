"""The navigator's filter: what fits a text, and texts that lead somewhere at once."""

from __future__ import annotations

from typing import Final

from keystead.delivery.console.asked import address
from keystead.delivery.console.frame import Entry, Group, menus
from keystead.dictionary.model import Context

_STATISTICS: Final = "stats.do"
_SUFFIXES: Final = ("list", "form")


def direct(text: str) -> str | None:
    """Where `table.list`, `table.form` or `stats.do` leads."""
    if text.lower() == _STATISTICS:
        return f"/{_STATISTICS}"
    table, _, suffix = text.rpartition(".")
    if table and suffix.lower() in _SUFFIXES:
        return address(table, suffix.lower())
    return None


def fitting(context: Context, text: str) -> list[Group]:
    """The navigator with the entries whose label, term or application has the text."""
    wanted = text.lower()
    path = direct(text)
    out = [Group("Go to", (Entry(text, path),))] if path else []
    for group in menus(context):
        entries = tuple(e for e in group.entries if _fits(wanted, group, e))
        if entries:
            out.append(Group(group.label, entries))
    return out


def _fits(wanted: str, group: Group, entry: Entry) -> bool:
    return any(wanted in said.lower() for said in (group.label, entry.label, entry.term))
