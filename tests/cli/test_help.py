"""Every command explains itself, with an example that names it, and can answer in JSON."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.conftest import keystead

from keystead.base.errors import FAMILIES
from keystead.delivery.cli.application import application
from keystead.delivery.cli.exits import EXIT_CODES

DEFERRED: dict[str, Any] = dict(application().commands)


def _commands() -> Iterator[tuple[str, ...]]:
    def of(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield words
        else:
            for name, sub in subcommands.items():
                yield from of(sub, (*words, name))

    for name, command in DEFERRED.items():
        yield from of(command.load(), (name,))


@pytest.mark.parametrize("words", sorted(_commands()), ids=" ".join)
def test_help_has_an_example_and_json(words: tuple[str, ...]) -> None:
    ended = keystead(*words, "--help")
    assert ended.code == 0
    assert f"keystead {' '.join(words)} " in ended.out.split("Example:")[1]
    assert "--json" in ended.out


@pytest.mark.parametrize("name", DEFERRED)
def test_a_command_is_listed_by_its_own_first_sentence(name: str) -> None:
    known = DEFERRED[name]
    own = known.load()
    assert (own.name, own.get_short_help_str(limit=200)) == (name, known.help)
    assert keystead("--help").out.count(f"\n  {name} ") == 1


@pytest.mark.parametrize("line", ["--version", "--help"])
def test_what_needs_no_command_imports_none(line: str) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "keystead.programs.cli", line]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {told.rpartition("|")[2].strip() for told in ended.stderr.splitlines()}
    assert "keystead.delivery.cli.application" in imported
    assert not imported & {"sqlalchemy", "keystead.instance", "keystead.delivery.cli.keys"}


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [((), "us", ["user"]), (("user",), "to", ["token"]), (("user", "token"), "ma", ["make"])],
    ids=["of all", "of a group", "of a group of a group"],
)
def test_commands_are_completed(
    words: tuple[str, ...], incomplete: str, expected: list[str]
) -> None:
    context = application().make_context("keystead", list(words), resilient_parsing=True)
    for word in words:
        context = context.command.get_command(context, word).make_context(
            word, [], parent=context, resilient_parsing=True
        )
    assert [i.value for i in context.command.shell_complete(context, incomplete)] == expected


def test_a_wrong_command_line_ends_with_two() -> None:
    assert keystead("census").code == 2
    assert keystead("no-such-command").code == 2


def test_every_family_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(FAMILIES)
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert not {0, 1, 2} & set(EXIT_CODES.values())
