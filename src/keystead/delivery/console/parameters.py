"""Forms for the parameters of an operation, from the struct that declares them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final

import msgspec
from msgspec import inspect

from keystead.dictionary.model import Operation

_LONG: Final = 200  # a text that may be longer gets several lines
Given = Mapping[str, Sequence[str]]
Choices = Callable[[Any], Sequence[tuple[str, str]]]


class Shape(StrEnum):
    """How a parameter is put in."""

    TEXT = "text"
    LONG = "long"
    NUMBER = "number"
    YES_NO = "yes or no"
    CHOICE = "choice"
    REFERENCE = "reference"
    HIDDEN = "not shown"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `choices` is known, or asked for by `ask`; `many` may be chosen several."""

    name: str
    label: str
    help: str
    shape: Shape
    required: bool
    default: tuple[str, ...]
    least: int | None = None
    most: int | None = None
    many: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    ask: Choices | None = None
    reference: str = ""


def parameters(operation: Operation) -> list[Parameter]:
    """The parameters of an operation in their order."""
    struct = inspect.type_info(operation.parameters)
    if not isinstance(struct, inspect.StructType):
        return []
    return [_parameter(field) for field in struct.fields]


def as_given(wanted: Sequence[Parameter], form: Given) -> dict[str, Any]:
    """What a form gives, as the operation takes it; what was left empty keeps its default."""
    out: dict[str, Any] = {}
    for one in wanted:
        texts = [text.replace("\r\n", "\n") for text in form.get(one.name, ())]
        if one.shape is Shape.YES_NO:
            out[one.name] = "true" in texts
        elif one.many:
            out[one.name] = [text for text in texts if text]
        elif texts and (texts[-1] or one.required):
            out[one.name] = texts[-1]
    return out


def _parameter(field: inspect.Field) -> Parameter:
    kind, said, extra = field.type, {}, {}
    if isinstance(kind, inspect.Metadata):
        said, extra = kind.extra_json_schema or {}, kind.extra or {}
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        kind = next(t for t in kind.types if not isinstance(t, inspect.NoneType))
    many = isinstance(kind, inspect.ListType)
    if isinstance(kind, inspect.ListType):
        kind = kind.item_type
    asked = extra.get("choices")
    return Parameter(
        field.encode_name,
        str(said.get("title", field.encode_name)),
        str(said.get("description", "")),
        _shape(kind, extra),
        field.required and not isinstance(kind, inspect.BoolType),
        _default(field),
        kind.min_length if isinstance(kind, inspect.StrType) else None,
        kind.max_length if isinstance(kind, inspect.StrType) else None,
        many,
        () if asked else _choices(kind),
        (lambda context: [_pair(c) for c in asked(context)]) if asked else None,
        str(extra.get("reference", "")),
    )


def _shape(kind: inspect.Type, extra: Mapping[str, Any]) -> Shape:
    if extra.get("secret"):
        return Shape.HIDDEN
    if extra.get("reference"):
        return Shape.REFERENCE
    if extra.get("choices") or isinstance(kind, inspect.EnumType | inspect.LiteralType):
        return Shape.CHOICE
    if isinstance(kind, inspect.BoolType):
        return Shape.YES_NO
    if isinstance(kind, inspect.IntType):
        return Shape.NUMBER
    is_long = isinstance(kind, inspect.StrType) and (kind.max_length or 0) > _LONG
    return Shape.LONG if is_long else Shape.TEXT


def _choices(kind: inspect.Type) -> tuple[tuple[str, str], ...]:
    if isinstance(kind, inspect.EnumType):
        return tuple(_pair(member.value) for member in kind.cls)
    if isinstance(kind, inspect.LiteralType):
        return tuple(_pair(value) for value in kind.values)
    return ()


def _pair(choice: Any) -> tuple[str, str]:
    """A choice as the value that is sent and what people read."""
    value, label = choice if isinstance(choice, tuple) else (choice, choice)
    return str(value), str(label)


def _default(field: inspect.Field) -> tuple[str, ...]:
    default = field.default
    if default is msgspec.NODEFAULT or default is None:
        return ()
    if isinstance(default, Enum):
        return (str(default.value),)
    if isinstance(default, bool):
        return ("true",) if default else ()
    return tuple(map(str, default)) if isinstance(default, tuple | list) else (str(default),)
