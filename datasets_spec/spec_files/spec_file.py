"""Spec files: YAML -> a pydantic model, with every error at its line and column, all at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from datasets_spec.errors import Problem, SpecError, UserError
from datasets_spec.nearest import nearest_of
from datasets_spec.spec_files.problems import problems_of
from datasets_spec.spec_files.yaml_tree import Location, Spot, Tree, dotted, parse_yaml, shown

T = TypeVar("T", bound=BaseModel)

COMMAND_LINE = "<command line>"


def load_spec(path: Path, model: type[T], *, overrides: Sequence[str] = ()) -> T:
    """Loads and validates a YAML spec.

    Args:
        path: The file.
        model: The pydantic model it must satisfy (strictly: no silent conversion of types).
        overrides: Values that replace the file's, each ``a.b=c`` with ``c`` in YAML.

    Returns:
        The validated model.

    Raises:
        UserError: The file cannot be read.
        SpecError: The file or an override is wrong; carries all problems.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        near = nearest_of(path.name, _yaml_names(path.parent))
        raise UserError(
            f"cannot read {path}: {error.strerror or type(error).__name__}",
            hint=f"Did you mean '{path.parent / near}'?" if near else "give the path of a YAML file",
        ) from None
    return _load(data, str(path), model, overrides)


def load_spec_text(text: str, name: str, model: type[T], *, overrides: Sequence[str] = ()) -> T:
    """Validates a YAML spec given as text.

    Args:
        text: The YAML document.
        name: What to call it in errors.
        model: The pydantic model it must satisfy.
        overrides: As for :func:`load_spec`.

    Raises:
        SpecError: The text or an override is wrong; carries all problems.
    """
    return _load(text, name, model, overrides)


def locate(
    path: Path,
    where: Location,
    *,
    message: str,
    overrides: Sequence[str] = (),
    found: str | None = None,
    nearest: str | None = None,
) -> Problem:
    """Returns a problem of a spec that loads but does not fit what it refers to, at its line and column.

    Args:
        path: The file.
        where: Keys and list indexes of the field.
        message: What is wrong.
        overrides: Those the spec was loaded with.
        found: What stands there.
        nearest: The nearest valid value.
    """
    tree = parse_yaml(path.read_bytes(), str(path))
    for number, override in enumerate(overrides, start=1):
        _apply_override(tree, override, number)
    place = where
    while place not in tree.values and place:
        place = place[:-1]
    spot = tree.values.get(place, Spot(str(path), 1, 1))
    return Problem(
        file=spot.file,
        line=spot.line,
        column=spot.column,
        where=dotted(where),
        message=message,
        found=found,
        nearest=nearest,
    )


def _yaml_names(folder: Path) -> list[str]:
    try:
        return sorted(item.name for item in folder.iterdir() if item.suffix in (".yaml", ".yml"))
    except OSError:
        return []


def _load(data: str | bytes, name: str, model: type[T], overrides: Sequence[str]) -> T:
    tree = parse_yaml(data, name)
    if tree.value is None and tree.problems:
        raise SpecError(tree.problems)
    for number, override in enumerate(overrides, start=1):
        _apply_override(tree, override, number)
    if not isinstance(tree.value, dict):
        tree.problems.append(Problem(file=name, line=1, column=1, where="", message="must be a mapping of keys"))
        raise SpecError(tree.problems)
    try:
        # JSON mode with strict=True: a list may fill a tuple and a string an enum, but "5" is no integer,
        # true is no number and 2.5 is no count.
        result = model.model_validate_json(json.dumps(tree.value), strict=True)
    except ValidationError as error:
        raise SpecError(_in_order(tree.problems, problems_of(error, tree, model), name)) from None
    if tree.problems:
        raise SpecError(_in_order(tree.problems, [], name))
    return result


def _in_order(reading: Sequence[Problem], validating: Sequence[Problem], name: str) -> list[Problem]:
    # A value refused while reading (NaN, say) is null for the model: one complaint a place is enough.
    spots = {(problem.file, problem.line, problem.column) for problem in reading}
    further = [problem for problem in validating if (problem.file, problem.line, problem.column) not in spots]
    return sorted((*reading, *further), key=lambda p: (p.file != name, p.file, p.line, p.column))


def _apply_override(tree: Tree, override: str, number: int) -> None:
    def refuse(message: str) -> None:
        found = shown(override)
        tree.problems.append(Problem(file=COMMAND_LINE, line=number, column=1, where="", message=message, found=found))

    path, equals, text = override.partition("=")
    if not equals or not path.strip() or any(not part for part in path.strip().split(".")):
        return refuse("an override is written key.key=value")
    if not isinstance(tree.value, dict):
        return refuse("the file is no mapping, so nothing in it can be replaced")
    value = _parse_override_value(text, number, tree)
    location: Location = ()
    place: Any = tree.value
    parts = path.strip().split(".")
    while True:
        key, parts = _next_key(place, parts)
        if key is None:
            return refuse(f"'{dotted(location)}' holds a single value or no such item")
        location = (*location, key)
        if not parts:
            break
        if isinstance(place, dict) and place.get(str(key)) is None:
            place[str(key)] = {}
            tree.keys[location] = tree.values[location] = Spot(COMMAND_LINE, number, 1)
        place = place[key]
    place[key] = value.value
    _move_positions(tree, location, value, number)
    return None


def _next_key(place: Any, parts: list[str]) -> tuple[str | int | None, list[str]]:
    if isinstance(place, dict):
        # Names of subsets may contain dots, so the longest existing key wins.
        for length in range(len(parts), 0, -1):
            joined = ".".join(parts[:length])
            if joined in place:
                return joined, parts[length:]
        return parts[0], parts[1:]
    if isinstance(place, list) and parts[0].isdecimal() and int(parts[0]) < len(place):
        return int(parts[0]), parts[1:]
    return None, []


def _parse_override_value(text: str, number: int, tree: Tree) -> Tree:
    if not text.strip():
        return Tree(value=None, values={(): Spot(COMMAND_LINE, number, 1, "")})
    value = parse_yaml(text, COMMAND_LINE)
    tree.problems.extend(
        Problem(
            file=COMMAND_LINE,
            line=number,
            column=problem.column,
            where=problem.where,
            message=problem.message,
            found=problem.found,
        )
        for problem in value.problems
    )
    return value


def _move_positions(tree: Tree, location: Location, value: Tree, number: int) -> None:
    depth = len(location)
    for spots in (tree.values, tree.keys):
        for old in [known for known in spots if known[:depth] == location]:
            del spots[old]
    tree.keys[location] = Spot(COMMAND_LINE, number, 1)
    for inner, spot in value.values.items():
        tree.values[(*location, *inner)] = Spot(COMMAND_LINE, number, spot.column, spot.text)
    for inner, spot in value.keys.items():
        tree.keys[(*location, *inner)] = Spot(COMMAND_LINE, number, spot.column, spot.text)
    tree.values.setdefault(location, Spot(COMMAND_LINE, number, 1))
