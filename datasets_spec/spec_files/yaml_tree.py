"""YAML text -> plain values, with the line and column of every one of them.

The node tree is composed by PyYAML's safe loader and converted here, because its constructor forgets
positions, keeps the last of two equal keys, reads ``1e-4`` as text and ``1:30`` as ninety.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from datasets_spec.errors import Problem

# A hand-written spec is some kilobytes; beyond these caps a file is an accident or an attack
# (10 MB strings, 100,000 nested brackets, "billion laughs" through aliases).
MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_ALIASES = 200
MAX_VALUES = 100_000
# Beyond 2^63 - 1, Arrow, JSON readers and seeds disagree about an integer.
MAX_INT = 2**63 - 1
SHOWN_LENGTH = 60

Location = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9][0-9_]*\Z")
_FLOAT = re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z")
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_CORE_TAGS = ("null", "bool", "int", "float", "str", "seq", "map", "timestamp", "value", "merge")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value stands: file, 1-based line and column, and its text as written (scalars only)."""

    file: str
    line: int
    column: int
    text: str | None = None


@dataclass(slots=True)
class Tree:
    """A converted document: its value, and the spots of every value and of every key by location."""

    value: Any = None
    values: dict[Location, Spot] = field(default_factory=dict)
    keys: dict[Location, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def shown(text: str) -> str:
    """Returns text short and printable enough for one line of an error.

    Args:
        text: Any text.
    """
    flat = "".join(char if char.isprintable() else "?" for char in text)
    return flat if len(flat) <= SHOWN_LENGTH else flat[: SHOWN_LENGTH - 3] + "..."


def dotted(location: Location) -> str:
    """Returns a location as people write it, e.g. ``subsets.0.name``.

    Args:
        location: Keys and list indexes from the root.
    """
    return ".".join(str(part) for part in location)


def parse_yaml(data: str | bytes, file: str) -> Tree:
    """Converts one YAML document; what is wrong with it is listed, never raised.

    Args:
        data: The document.
        file: Name for positions.
    """
    tree = Tree()
    text = _decode(data, file, tree)
    if text is None:
        return tree
    try:
        if _is_within_caps(text, file, tree):
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            if node is None:
                _complain(tree, Spot(file, 1, 1), (), "the file is empty")
            else:
                tree.value = _Converter(file, tree).convert(node, (), ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(file, mark.line + 1, mark.column + 1) if mark else Spot(file, 1, 1)
        _complain(tree, spot, (), f"not valid YAML: {shown(error.problem or error.context or 'unknown')}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        name = f"U+{ord(text[error.position]):04X}"
        _complain(tree, Spot(file, line, column), (), f"character {name} is not allowed")
    return tree


def _complain(tree: Tree, spot: Spot, location: Location, message: str, found: str | None = None) -> None:
    where = dotted(location)
    problem = Problem(file=spot.file, line=spot.line, column=spot.column, where=where, message=message, found=found)
    tree.problems.append(problem)


def _decode(data: str | bytes, file: str, tree: Tree) -> str | None:
    start = Spot(file, 1, 1)
    if len(data) > MAX_BYTES:
        _complain(tree, start, (), f"larger than {MAX_BYTES:,} bytes", f"{len(data):,}")
        return None
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            _complain(tree, Spot(file, line, 1), (), "not UTF-8 text; save the file as UTF-8")
            return None
    return data.removeprefix("\ufeff")


def _is_within_caps(text: str, file: str, tree: Tree) -> bool:
    # The event stream is read without recursion, so depth is measured before anything recursive runs.
    depth = aliases = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        mark = event.start_mark
        spot = Spot(file, mark.line + 1, mark.column + 1) if mark else Spot(file, 1, 1)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH:
            _complain(tree, spot, (), f"nested deeper than {MAX_DEPTH} levels")
            return False
        if aliases > MAX_ALIASES:
            _complain(tree, spot, (), f"more than {MAX_ALIASES} aliases (*name)")
            return False
    return True


class _Converter:
    """Walks a node tree once, filling the tree's positions."""

    def __init__(self, file: str, tree: Tree) -> None:
        self.file = file
        self.tree = tree
        self.num_values = 0

    def convert(self, node: yaml.Node, location: Location, parents: tuple[int, ...]) -> Any:
        self.num_values += 1
        spot = self._spot(node)
        self.tree.values[location] = spot
        if self.num_values > MAX_VALUES:
            if self.num_values == MAX_VALUES + 1:
                _complain(self.tree, spot, location, f"more than {MAX_VALUES:,} values")
            return None
        if id(node) in parents:
            _complain(self.tree, spot, location, "an alias (*name) contains itself")
            return None
        inside = (*parents, id(node))
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _CORE_TAGS:
            _complain(self.tree, spot, location, "tags (!name) are not supported", shown(node.tag))
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, spot, location)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(item, (*location, i), inside) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, location, inside)
        raise AssertionError(f"YAML composes no {type(node).__name__}")

    def _spot(self, node: yaml.Node) -> Spot:
        mark = node.start_mark
        text = node.value if isinstance(node, yaml.ScalarNode) else None
        return Spot(self.file, mark.line + 1, mark.column + 1, text)

    def _mapping(self, node: yaml.MappingNode, location: Location, inside: tuple[int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            spot = self._spot(key_node)
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "":
                _complain(self.tree, spot, location, "a key must be a plain name")
                continue
            # Keys are names: 01 stays "01" and NO stays "NO".
            key = key_node.value
            if key == "<<" and key_node.style is None:
                _complain(self.tree, spot, location, "merging with << is not supported; write the keys out")
                continue
            if _LONE_SURROGATE.search(key):
                _complain(self.tree, spot, location, "a key contains half a surrogate pair")
                continue
            inner = (*location, key)
            if key in result:
                first = self.tree.keys[inner].line
                _complain(self.tree, spot, inner, f"key written twice (first on line {first})", shown(key))
                continue
            self.tree.keys[inner] = spot
            result[key] = self.convert(value_node, inner, inside)
        return result

    def _scalar(self, node: yaml.ScalarNode, spot: Spot, location: Location) -> Any:
        text: str = node.value
        if _LONE_SURROGATE.search(text):
            _complain(self.tree, spot, location, "contains half a surrogate pair")
            return ""
        if node.style is not None or (node.tag == "tag:yaml.org,2002:str" and not _FLOAT.match(text)):
            return text
        return self._plain(text, spot, location)

    def _plain(self, text: str, spot: Spot, location: Location) -> Any:
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text.lower() in _BOOLEANS:
            return _BOOLEANS[text.lower()]
        if _NOT_FINITE.match(text):
            _complain(self.tree, spot, location, "must be a finite number", shown(text))
            return None
        if _INT.match(text):
            # Python refuses to parse beyond 4,300 digits; the length is checked first.
            if len(text) > 25 or abs(int(text.replace("_", ""))) > MAX_INT:
                _complain(self.tree, spot, location, "integer out of range", shown(text))
                return None
            return int(text.replace("_", ""))
        if _FLOAT.match(text):
            number = float(text.replace("_", ""))
            if not math.isfinite(number):
                _complain(self.tree, spot, location, "must be a finite number", shown(text))
                return None
            return number
        return text
