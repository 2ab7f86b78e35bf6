"""Every command that a message, a docstring, a page, a template or a document names is one that the parser takes.

A command stands in backticks, on a code line of its own, behind a colon, or is run by another program; anywhere else
it fails here. A name without arguments (`recombine run`) must be a verb; with arguments the whole line must parse, and
a placeholder such as STUDY must be the verb's own.
"""

from __future__ import annotations

import ast
import io
import re
import shlex
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

from search.cli.verbs import app

REPOSITORY = Path(__file__).resolve().parents[3]
PACKAGES = ("search", "trainers", "datasets_spec", "cluster")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "Makefile")
TEXT_FILES = (".j2", ".yaml", ".js")
PLACEHOLDER = "x"  # stands for what an f-string fills in
IN_BACKTICKS = re.compile(r"`((?:recombine|make)\s[^`]+)`")
FENCE = re.compile(r"```[a-z]*\n(.*?)```", flags=re.DOTALL)
ON_A_CODE_LINE = re.compile(r"^(?:#? {2,}|\t\$\(BIN\)/)?((?:recombine|make) (?:.*\\\n)*.*)$", flags=re.MULTILINE)
BEHIND_A_COLON = re.compile(r"[:;] (recombine .+?)(?=;|\n|[.\"] |$| {3})")
# In a pod or on a cluster's head: `kubectl exec POD -- recombine ...`, `ray exec CLUSTER "recombine ..."`.
BY_ANOTHER_PROGRAM = re.compile(r'(?: -- |exec \S+ ")(recombine [^"\n]+)')
METAVAR = re.compile(r"[A-Z]+(\.[a-z]+)?")
ROOT = get_command(app)
assert isinstance(ROOT, TyperGroup)
# Neither in backticks nor behind a colon: where it ends is not known, so it is taken to the end of its line.
NAKED = re.compile(rf"\brecombine (?:{'|'.join(ROOT.commands)})\b[^\n]*")
USAGE_ERROR = typer.BadParameter.__mro__[1]  # click's or, in newer releases, typer's own copy of it
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))


def fault_of(line: str) -> str | None:
    """What is wrong with a command line; None where it would run."""
    program, *words = ("1" if word == "N" else word for word in shlex.split(line, comments=True))
    if program == "make":
        unknown = [word for word in words if "=" not in word and word not in TARGETS]
        return f"no target {unknown[0]}" if unknown else None
    command, context = ROOT, typer.Context(ROOT)
    while isinstance(command, TyperGroup) and words and words != ["..."]:
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"no verb {name}"
        command = found
    if not words or words == ["..."]:
        return None  # only a verb, or a group of verbs, is named
    try:
        parsed = command.make_context(command.name, list(words))
    except USAGE_ERROR as error:  # type: ignore[misc]
        return str(error)
    return _misnamed(command, parsed)


def _misnamed(command: Any, parsed: Any) -> str | None:
    """A placeholder that is not the argument's: `report` takes the study's file, `status` its directory."""
    for argument in command.params:
        value = parsed.params.get(argument.name or "")
        metavar = (argument.metavar or "").rstrip(".")
        for word in value if isinstance(value, tuple | list) else [value]:
            if isinstance(argument, TyperArgument) and METAVAR.fullmatch(str(word)) and str(word) != metavar:
                return f"{word} where {metavar} is taken"
    return None


def commands_of(text: str, *, is_document: bool = False) -> Iterator[str]:
    """The command lines in a text, in no order."""
    yield from BY_ANOTHER_PROGRAM.findall(text)
    text = BY_ANOTHER_PROGRAM.sub("", text)
    if is_document:
        for block in FENCE.findall(text):
            yield from (line for line in block.splitlines() if line.startswith(("recombine ", "make ")))
        lines = FENCE.sub("", text).splitlines()
        is_code = [line.startswith(("    ", "\t", "#  ")) for line in lines]
        code = "\n".join(line for line, is_one in zip(lines, is_code, strict=True) if is_one)
        yield from (line.replace("\\\n", " ") for line in ON_A_CODE_LINE.findall(code))
        text = "\n".join("" if ON_A_CODE_LINE.fullmatch(line) else line for line in lines)
    yield from (" ".join(command.split()) for command in IN_BACKTICKS.findall(text))
    bare = IN_BACKTICKS.sub("", text)
    yield from BEHIND_A_COLON.findall(bare)
    yield from NAKED.findall(BEHIND_A_COLON.sub("", bare))


def texts_of(source: str) -> Iterator[str]:
    """The strings and comments of a Python source; what is filled in or joined on is a placeholder."""
    yield from (t.string for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT)
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        text = _text(node)
        if text is None:
            waiting.extend(ast.iter_child_nodes(node))
        else:
            yield text


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or PLACEHOLDER for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _text(node.left), _text(node.right)
        return None if left is None and right is None else (left or PLACEHOLDER) + (right or PLACEHOLDER)
    return None


def named_commands() -> Iterator[tuple[str, str]]:
    """Every (file, command) of packages and documents."""
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*")):
            where = path.relative_to(REPOSITORY).as_posix()
            if path.suffix == ".py":
                yield from ((where, c) for t in texts_of(path.read_text(encoding="utf-8")) for c in commands_of(t))
            elif path.suffix in TEXT_FILES:
                yield from ((where, c) for c in commands_of(path.read_text(encoding="utf-8"), is_document=True))
    for path in [*(REPOSITORY / name for name in DOCUMENTS), *sorted((REPOSITORY / "docs").glob("*.md"))]:
        where = path.relative_to(REPOSITORY).as_posix()
        yield from ((where, c) for c in commands_of(path.read_text(encoding="utf-8"), is_document=True))


def test_every_command_that_is_named_would_run() -> None:
    named = list(named_commands())
    assert len(named) > 120
    faults = [f"{where}: {line}: {fault}" for where, line in named if (fault := fault_of(line))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "line, fault",
    [
        ("recombine resume", "no verb resume"),
        ("recombine data resume STUDY", "no verb resume"),
        ("recombine run STUDY --again", "No such option"),
        ("recombine data export STUDY", "Missing parameter: folder"),
        ("recombine bench search --json", "Missing parameter: table"),
        ("recombine init DIR --template", "requires an argument"),
        ("recombine status RUN RUN", "unexpected extra argument"),
        ("recombine explain STUDY --num-trials many", "valid integer"),
        ("recombine report RUN", "RUN where STUDY is taken"),
        ("recombine status STUDY", "STUDY where RUN is taken"),
        ("make tea", "no target tea"),
    ],
)
def test_a_wrong_command_is_found(line: str, fault: str) -> None:
    assert fault in (fault_of(line) or "")


@pytest.mark.parametrize(
    "line",
    [
        "recombine run",
        "recombine bench ...",
        "recombine run STUDY strategy.num_trials=4 --run-dir x",
        "recombine submit ... --address x",
        "make test PYTHON=python3",
    ],
)
def test_a_right_command_passes(line: str) -> None:
    assert fault_of(line) is None


def test_commands_are_told_from_prose() -> None:
    source = '''
"""The strategy `recombine` and what ``recombine status RUN`` shows. That recombine is a word, too."""
hint = f"run: recombine data unpack {name} DIR; or `recombine plan {path}`"  # see `make lint`
other = "`recombine report STUDY --run-dir " + str(run_dir) + "` writes it"
naked = "recombine report RUN writes it"
'''
    found = sorted(command for text in texts_of(source) for command in commands_of(text))
    assert found == [
        "make lint",
        "recombine data unpack x DIR",
        "recombine plan x",
        "recombine report RUN writes it",
        "recombine report STUDY --run-dir x",
        "recombine status RUN",
    ]


def test_documents_name_commands_on_code_lines_and_across_lines() -> None:
    text = (
        "Say `recombine data\nrelations TARGET`.\n```sh\nmake demo   # all\n```\n"
        "    recombine bench search \\\n        --json\n"
    )
    found = sorted(" ".join(command.split()) for command in commands_of(text, is_document=True))
    assert found == ["make demo # all", "recombine bench search --json", "recombine data relations TARGET"]
