"""Every command, given a home that is none, says in one line what and in one what to do."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path

import pytest
from tests.cli.conftest import keystead
from tests.cli.test_help import DEFERRED, _commands

from keystead.delivery.cli.exits import EXIT_CODES, USAGE

# they make a home where there is none
MAKES_ONE = {("init",), ("restore",)}
OF_KEY_FILES = ("create", "disable", "enable", "rotate", "delete", "cancel")
NEEDS_NONE = {("user", "roles"), *(("external", "file", each) for each in OF_KEY_FILES)}
COMMANDS = sorted(set(_commands()) - MAKES_ONE - NEEDS_NONE)
ODD_NAME = "a'b\"c\n\u202ed\x07;--%s{x}"


def _missing(folder: Path) -> Path:
    return folder / "none"


def _empty(folder: Path) -> str:
    del folder
    return ""


def _odd(folder: Path) -> Path:
    return folder / ODD_NAME


def _a_file(folder: Path) -> Path:
    file = folder / "file"
    file.write_text("x")
    return file


def _without_settings(folder: Path) -> Path:
    home = folder / "bare"
    home.mkdir()
    return home


def _with_damaged_settings(folder: Path) -> Path:
    home = _without_settings(folder)
    (home / "instance.toml").write_bytes(b"\xff= [")
    return home


def _with_settings_alone(folder: Path) -> Path:
    home = _without_settings(folder)
    (home / "instance.toml").write_text(f'name = "x"\ninstance_id = "{"0" * 32}"\n')
    return home


RARE = (_empty, _odd, _a_file, _without_settings, _with_settings_alone)
HOMES = [
    *(_missing, _with_damaged_settings),
    *(pytest.param(make, id=make.__name__.strip("_"), marks=pytest.mark.long) for make in RARE),
]


def given(words: tuple[str, ...], home: object, other: str) -> list[str]:
    """The shortest command line that is complete."""
    command = DEFERRED[words[0]].load()
    for word in words[1:]:
        command = command.commands[word]
    line = list(words)
    for wanted in command.params:
        if wanted.name == "home":
            line.append(str(home))
        elif wanted.required:
            kind = wanted.bare_type()
            value = "1" if kind is int or wanted.min is not None else other
            if isinstance(kind, type) and issubclass(kind, Enum):
                value = str(next(iter(kind)).value)
            line += [value] if wanted.param_type_name == "argument" else [wanted.opts[0], value]
    return line


@pytest.mark.parametrize("make", HOMES, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_home_that_is_none(
    words: tuple[str, ...], make: Callable[[Path], object], tmp_path: Path
) -> None:
    if (words, make) == (("config",), _with_settings_alone):
        return  # it needs no more
    home = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    ended = keystead(*given(words, home, "x"))
    # what is wrong in the rest of the line may be told first
    assert ended.code in {*EXIT_CODES.values(), USAGE}, ended
    assert ended.out == ""
    lines = ended.err.splitlines()
    assert len(lines) == 2, ended.err
    assert lines[0].startswith("keystead: ")
    assert lines[1].startswith("  ")
    assert all(character.isprintable() for line in lines for character in line)
    if make is not _with_settings_alone:  # its lock is made, and an empty database
        assert sorted(tmp_path.rglob("*")) == before
