"""Every command explains itself, with an example that names it, and can answer in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from tests.cli.conftest import keystead

from keystead.base.errors import FAMILIES
from keystead.delivery.cli.application import application
from keystead.delivery.cli.exits import EXIT_CODES

_FOLLOWED_BY_THE_SERVER = {"serve"}


def _commands() -> Iterator[tuple[str, ...]]:
    def of(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield words
        else:
            for name, sub in subcommands.items():
                yield from of(sub, (*words, name))

    yield from of(typer.main.get_command(application()), ())


@pytest.mark.parametrize("words", sorted(_commands()), ids=" ".join)
def test_help_has_an_example_and_json(words: tuple[str, ...]) -> None:
    ended = keystead(*words, "--help")
    assert ended.code == 0
    assert f"keystead {' '.join(words)} " in ended.out.split("Example:")[1]
    assert "--json" in ended.out


def test_a_wrong_command_line_ends_with_two() -> None:
    assert keystead("census").code == 2
    assert keystead("no-such-command").code == 2


def test_every_family_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(FAMILIES)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert not {0, 1, 2} & set(EXIT_CODES.values())
