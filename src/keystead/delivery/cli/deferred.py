"""Commands that are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand

_FOLDER = __package__


class Deferred(TyperCommand):
    """A command, or a group of them, that nobody has imported yet.

    Lists of commands need its name and `line` alone: the first sentence of what it says itself.
    `origin` is "MODULE:NAME", a function or a typer application of a module of this folder;
    the modules of `parts` add commands to it when they are imported.
    """

    def __init__(self, name: str, line: str, origin: str, *parts: str) -> None:
        super().__init__(name, help=line)
        self._origin = origin
        self._parts = parts

    def load(self) -> Any:
        """The command or group itself, as click knows it."""
        module, attribute = self._origin.split(":")
        found = getattr(import_module(f"{_FOLDER}.{module}"), attribute)
        for part in self._parts:
            import_module(f"{_FOLDER}.{part}")
        around = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            around.add_typer(found, name=self.name)
        else:
            around.command(self.name)(found)
        return typer.main.get_group(around).commands[str(self.name)]

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """The context of the command itself: click invokes whatever the context names."""
        return self.load().make_context(info_name, args, parent, **extra)
