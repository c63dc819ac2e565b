"""The catalogue of messages and its use in the source, which is read and not run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from typing import NamedTuple

import pytest

import keystead
from keystead.base.errors import FAMILIES, Conflict, KeysteadError, NotFound, Tampered
from keystead.base.messages import CATALOGUE, PARTS
from keystead.base.messages.message import Message

SOURCE = Path(keystead.__file__).parent
# how the source names a family: by its class, or by a variable when a peer or a job has chosen it
RAISED = {family.__name__ for family in FAMILIES.values()} | {"KeysteadError", "family"}


def placeholders(text: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(text) if field is not None}


class Use(NamedTuple):
    """One place that makes an error."""

    where: str
    codes: tuple[str, ...]
    facts: frozenset[str]
    has_more_facts: bool


@cache
def uses() -> list[Use]:
    return [
        use
        for path in sorted(SOURCE.rglob("*.py"))
        for use in uses_in(ast.parse(path.read_text()), str(path.relative_to(SOURCE)))
    ]


def uses_in(tree: ast.Module, file: str) -> Iterator[Use]:
    """Calls of a family whose first argument is a literal, or a name given literals beforehand."""
    named: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named.setdefault(node.targets[0].id, set()).update(literals(node.value))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or called(node.func) not in RAISED or not node.args:
            continue
        first = node.args[0]
        codes = named.get(first.id, set()) if isinstance(first, ast.Name) else set(literals(first))
        if codes:
            yield Use(
                where=f"{file}:{node.lineno}",
                codes=tuple(sorted(codes)),
                facts=frozenset(word.arg for word in node.keywords if word.arg is not None),
                has_more_facts=any(word.arg is None for word in node.keywords),
            )


def called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


# the use


def test_the_source_is_read() -> None:
    found = {use.where.partition(":")[0]: use for use in uses()}
    assert found["crypto/seal.py"].codes == ("seal.failed",)
    assert found["crypto/sign.py"].facts == {"what", "reason"}
    assert len(uses()) > 50


def test_codes_are_in_the_catalogue() -> None:
    unknown = [(use.where, code) for use in uses() for code in use.codes if code not in CATALOGUE]
    assert unknown == []


def test_facts_cover_the_placeholders() -> None:
    missing = [
        (use.where, code, sorted(names - use.facts))
        for use in uses()
        for code in use.codes
        if code in CATALOGUE and not use.has_more_facts
        for names in [placeholders("".join(CATALOGUE[code]))]
        if names - use.facts
    ]
    assert missing == []


def test_only_families_are_raised() -> None:
    """KeysteadError itself is for catching, and for showing what was never raised."""
    raised = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and called(node.exc.func) == "KeysteadError"
    ]
    assert raised == []


# the catalogue

# a whole sentence, with its end, that a fact brings along
SENTENCE = re.compile(r"\{(reason|advice)\}$")
COMMAND = re.compile(r"(with|by|then): ([A-Z_]+=\w+ )?(keystead|chmod|\{command\})( [\w{}./-]+)+$")
# where a full stop would be read as one of the characters listed
LISTS = {"name.invalid"}


def ends_as_a_sentence(line: str) -> bool:
    return line.endswith(".") or SENTENCE.search(line) is not None


def test_codes_have_one_form() -> None:
    form = r"[a-z]+(_[a-z]+)*(\.[a-z]+(_[a-z]+)*)?"
    assert [code for code in CATALOGUE if not re.fullmatch(form, code)] == []


def test_messages_are_two_lines() -> None:
    for code, message in CATALOGUE.items():
        for line in message:
            assert line, code
            assert line == line.strip(), code
            assert line.isprintable(), code
            assert "  " not in line, code


def test_what_happened_is_a_sentence() -> None:
    odd = [code for code, message in CATALOGUE.items() if not ends_as_a_sentence(message.what)]
    assert odd == []


def test_what_to_do_is_a_sentence_or_a_command() -> None:
    odd = {
        code
        for code, message in CATALOGUE.items()
        if not ends_as_a_sentence(message.todo) and not COMMAND.search(message.todo)
    }
    assert odd == LISTS


def test_placeholders_are_plain_names() -> None:
    """With attributes or indexes, `format_map` would look into a fact."""
    for code, message in CATALOGUE.items():
        for line in message:
            for _, field, form, conversion in Formatter().parse(line):
                plain = field is None or (field.isidentifier() and not form and conversion is None)
                assert plain, code


# the errors


def test_error() -> None:
    error = NotFound("column.missing", table="people", column="{email}", more=1)
    assert isinstance(error, KeysteadError)
    assert (error.code, error.family) == ("column.missing", "not_found")
    assert error.facts == {"table": "people", "column": "{email}", "more": 1}
    assert str(error) == error.what == "The table 'people' has no column '{email}'."
    assert error.todo == "See its columns with: keystead table show HOME people"


def test_error_of_every_code() -> None:
    for code, message in CATALOGUE.items():
        facts = {name: f"<{name}>" for name in placeholders("".join(message))}
        error = Conflict(code, **facts)
        for line, template in zip((error.what, error.todo), message, strict=True):
            assert "{" not in line, code
            assert all(f"<{name}>" in line for name in placeholders(template)), code


def test_error_that_is_not_in_the_catalogue() -> None:
    with pytest.raises(KeyError):
        Tampered("no.such")
    with pytest.raises(KeyError):
        NotFound("column.missing", table="people")


def test_families() -> None:
    assert len(FAMILIES) == 8
    for name, family in FAMILIES.items():
        assert family.family == name
        assert family.__bases__ == (KeysteadError,)
    assert set(KeysteadError.__subclasses__()) == set(FAMILIES.values())


def test_message_has_two_parts() -> None:
    assert Message._fields == ("what", "todo")
    assert all(type(message) is Message for message in CATALOGUE.values())


def test_no_code_is_unused() -> None:
    """A code counts as used when a literal outside the catalogue names it."""
    named = {
        node.value
        for path in SOURCE.rglob("*.py")
        if path.parent != SOURCE / "base" / "messages"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert sorted(CATALOGUE.keys() - named) == []


def test_no_code_has_two_messages() -> None:
    assert sum(len(part.MESSAGES) for part in PARTS) == len(CATALOGUE)
