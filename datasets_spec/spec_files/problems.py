"""Pydantic's validation errors -> problems with positions and nearest valid names."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from datasets_spec.errors import Problem
from datasets_spec.nearest import nearest_of
from datasets_spec.spec_files.yaml_tree import Location, Spot, Tree, dotted, shown

_WANTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "model_type": "must be a mapping of keys",
    "model_attributes_type": "must be a mapping of keys",
}
_QUOTED = re.compile(r"'([^']*)'")


def problems_of(error: ValidationError, tree: Tree, model: type[BaseModel]) -> list[Problem]:
    """Turns every error of a validation into a problem.

    Args:
        error: What pydantic raised.
        tree: The document that was validated.
        model: The model it was validated against.
    """
    details = error.errors(include_url=False)
    placed = [(*_place(tree, detail["loc"], detail["type"]), detail) for detail in details]
    best = list(_best_members(placed))
    deeper = {location[:length] for location, _ in best for length in range(len(location))}
    return [
        _problem(tree, model, location, detail)
        for location, detail in best
        # A list whose items are all wrong is also "too short" for pydantic: an echo, not a second error.
        if not (detail["type"] == "too_short" and location in deeper)
    ]


def _place(tree: Tree, loc: Location, kind: str) -> tuple[Location, Location]:
    """Splits pydantic's location into the place in the document and the union members named in it."""
    value: Any = tree.value
    location: Location = ()
    members: Location = ()
    for position, part in enumerate(loc):
        is_last = position == len(loc) - 1
        if _holds(value, part):
            value = value[part]
        elif not (is_last and kind == "missing"):
            members = (*members, *location, "|", part)
            continue
        location = (*location, part)
    return location, members


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and part < len(value)
    return isinstance(value, Mapping) and part in value


def _best_members(
    placed: list[tuple[Location, Location, ErrorDetails]],
) -> Iterator[tuple[Location, ErrorDetails]]:
    # A value that fits no member of a union yields the errors of all members; the member with the fewest
    # is the one that was meant.
    groups: dict[Location, dict[Location, list[tuple[Location, ErrorDetails]]]] = {}
    for location, members, detail in placed:
        group = members[: members.index("|")] if members else ("",)
        member = members[: members.index("|") + 2] if members else ()
        groups.setdefault(group, {}).setdefault(member, []).append((location, detail))
    for by_member in groups.values():
        yield from min(by_member.values(), key=len) if () not in by_member else by_member[()]


def _problem(tree: Tree, model: type[BaseModel], location: Location, detail: ErrorDetails) -> Problem:
    kind = detail["type"]
    spot = _spot(tree, location, kind)
    message, found, nearest = _words(model, location, detail, spot)
    return Problem(
        file=spot.file,
        line=spot.line,
        column=spot.column,
        where=dotted(location),
        message=message,
        found=found,
        nearest=nearest,
    )


def _spot(tree: Tree, location: Location, kind: str) -> Spot:
    if kind == "extra_forbidden" and location in tree.keys:
        return tree.keys[location]
    while location not in tree.values and location:
        location = location[:-1]
    fallback = next(iter(tree.values.values()), Spot("", 1, 1))
    spot = tree.values.get(location, fallback)
    # A missing key of a nested mapping is pointed at from the mapping's own key.
    return tree.keys.get(location, spot) if kind == "missing" else spot


def _words(
    model: type[BaseModel], location: Location, detail: ErrorDetails, spot: Spot
) -> tuple[str, str | None, str | None]:
    kind, given = detail["type"], detail.get("input")
    context: dict[str, Any] = detail.get("ctx") or {}
    found = _found(given, spot)
    if kind == "missing":
        return "this key is required and missing", None, None
    if kind == "extra_forbidden":
        valid = keys_at(model, location[:-1])
        name = str(location[-1])
        listed = f"; valid keys: {', '.join(sorted(valid))}" if valid else ""
        return f"unknown key{listed}", shown(name), nearest_of(name, valid)
    if isinstance(given, bool) and spot.text is not None and kind in ("string_type", "literal_error", "enum"):
        word = "true" if given else "false"
        return f'YAML reads {spot.text} as {word}; write it in quotes: "{spot.text}"', found, None
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        choices = _QUOTED.findall(str(context.get("expected") or context.get("expected_tags")))
        return f"must be one of: {', '.join(choices)}", found, nearest_of(str(given), choices)
    if kind == "string_type" and isinstance(given, int | float) and spot.text is not None:
        return f'must be text; write the number in quotes: "{spot.text}"', found, None
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", detail["msg"])), None if isinstance(given, dict) else found, None
    if kind == "string_pattern_mismatch":
        return f"must match the pattern {context.get('pattern')}", found, None
    if kind in ("too_short", "string_too_short"):
        return f"needs at least {context.get('min_length')}", found, None
    return _WANTED.get(kind, detail["msg"].removeprefix("Input ")), found, None


def _found(given: Any, spot: Spot) -> str | None:
    if isinstance(given, Mapping):
        return "a mapping"
    if isinstance(given, list | tuple):
        return "a list"
    if given is None:
        return "nothing"
    return shown(spot.text if spot.text is not None else str(given))


def keys_at(model: type[BaseModel], location: Location) -> set[str]:
    """Returns the keys that are valid at a place in a model.

    Args:
        model: The root model.
        location: Keys and indexes from the root to a mapping.
    """
    places: list[Any] = [model]
    for part in location:
        places = [inner for place in places for inner in _step(place, part)]
    keys: set[str] = set()
    for place in places:
        for member in _members(place):
            if isinstance(member, type) and issubclass(member, BaseModel):
                keys.update(info.alias or name for name, info in member.model_fields.items())
    return keys


def _step(annotation: Any, part: str | int) -> Iterator[Any]:
    for member in _members(annotation):
        origin, args = get_origin(member), get_args(member)
        if isinstance(member, type) and issubclass(member, BaseModel):
            for name, info in member.model_fields.items():
                if part in (name, info.alias):
                    yield info.annotation
        elif origin in (dict, Mapping) and len(args) == 2:
            yield args[1]
        elif isinstance(part, int) and args and origin is not None:
            yield args[0] if args[-1] is Ellipsis or part >= len(args) else args[part]


def _members(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation
