"""Modality, area and task guessed from names, with how sure each guess is and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.catalog.spec import SubsetSpec

ELEMENTS: Final = ("modality", "area", "task")
# Published names as short as "CT of Brain" are words, not names; longer ones are found inside of longer names.
_LEAST_NAME = 6
_LEAST_PART = 14
_ABSENCE = re.compile(r"\b(?:no|non|not|normal|healthy|control|negative|positive|abnormal|yes)\b")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True, kw_only=True, slots=True)
class ElementGuess:
    """A guessed element of a key.

    Args:
        value: In Med-MAT's words.
        surety: ``likely`` (a name says it), ``doubtful`` (concluded, or names disagree).
        why: What it was guessed from.
    """

    value: str
    surety: str
    why: str


def guess_key(path: str, classes: Sequence[str] = ()) -> dict[str, ElementGuess]:
    """Guesses the elements of a key; those that nothing says are absent.

    Args:
        path: Names of folders and files, outermost first, joined by slashes.
        classes: Names of the classes, if there are any.
    """
    found = _published(path)
    for element in ELEMENTS:
        guess = found.get(element) or _from_path(element, path) or _from_classes(element, classes)
        if guess is not None:
            found[element] = guess
    if "task" not in found and classes and all(label.strip().isdecimal() for label in classes):
        found["task"] = ElementGuess(value="Level Identification", surety="doubtful", why="the classes are numbers")
    return _with_implied(found)


def names_a_class(text: str) -> bool:
    """Whether a folder is called as classes are: after a finding, or after its absence.

    Args:
        text: Name of the folder.
    """
    return bool(_said("task", text)) or bool(_ABSENCE.search(_words(text)))


def _published(path: str) -> dict[str, ElementGuess]:
    parts = [_joined(part) for part in path.split("/")]
    for name, subset in _med_mat_names().items():
        if any(part == name or (len(name) >= _LEAST_PART and name in part) for part in parts):
            why = f"named like a data set of Med-MAT's {subset.name}"
            return {e: ElementGuess(value=getattr(subset, e), surety="likely", why=why) for e in ELEMENTS}
    return {}


@cache
def _med_mat_names() -> dict[str, SubsetSpec]:
    """Names and addresses of Med-MAT's data sets, letters and digits only, with the subset they are part of."""
    catalog = load_catalog("med_mat").spec
    subsets = {source: subset for subset in reversed(catalog.subsets) for source in subset.sources}
    found: dict[str, SubsetSpec] = {}
    for source in catalog.sources:
        last = (source.url or "").split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        for name in (_joined(source.name), _joined(last)):
            if source.id in subsets and len(name) >= _LEAST_NAME and not name.isdecimal() and name != "data":
                found.setdefault(name, subsets[source.id])
    return found


def _from_path(element: str, path: str) -> ElementGuess | None:
    said: dict[str, str] = {}
    for part in reversed(path.split("/")):  # what is nearest to the images counts most
        for value, word in _said(element, part):
            said.setdefault(value, word)
    if not said:
        return None
    value, *others = said
    if others:
        why = f"'{said[value]}' is in the path, but so is '{said[others[0]]}'"
        return ElementGuess(value=value, surety="doubtful", why=why)
    # Of Med-MAT's own data sets, words of a name tell 43 of 44 modalities right, but 12 of 29 tasks.
    surety = "doubtful" if element == "task" else "likely"
    return ElementGuess(value=value, surety=surety, why=f"'{said[value]}' is in the path")


def _from_classes(element: str, classes: Iterable[str]) -> ElementGuess | None:
    said: Counter[str] = Counter()
    words: dict[str, str] = {}
    for label in classes:
        for value, word in dict(_said(element, label)).items():
            said[value] += 1
            words.setdefault(value, word)
    if not said:
        return None
    value = max(said, key=lambda name: said[name])
    return ElementGuess(value=value, surety="doubtful", why=f"a class is called '{words[value]}'")


def _with_implied(found: dict[str, ElementGuess]) -> dict[str, ElementGuess]:
    table = _key_words()
    pairs: dict[str, str] = table["pairs"]
    if "modality" in found and "area" not in found and found["modality"].value in pairs:
        value = found["modality"].value
        found["area"] = ElementGuess(value=pairs[value], surety="doubtful", why=f"{value} is always of it in Med-MAT")
    if "area" in found and "modality" not in found:
        of_it = [name for name, area in pairs.items() if area == found["area"].value]
        if of_it:
            why = f"{found['area'].value} is always seen by it in Med-MAT"
            found["modality"] = ElementGuess(value=of_it[0], surety="doubtful", why=why)
    if "task" in found:
        task = found["task"].value
        for element, value in table["implied"].get(task, {}).items():
            guess = ElementGuess(value=value, surety="doubtful", why=f"usual for {task}")
            # Chest X-rays of pneumonia, COVID-19 and tuberculosis are of the lung in Med-MAT.
            if element not in found or (found[element].value, value) == ("Chest", "Lung"):
                found[element] = guess
    return {element: found[element] for element in ELEMENTS if element in found}


def _said(element: str, text: str) -> list[tuple[str, str]]:
    """Values that the words of a text say, with the word."""
    plain = f" {_words(text)} "
    return [
        (value, word)
        for value, words in _key_words()[element].items()
        for word in words
        if f" {word} " in plain  # whole words: "us" is in "various"
    ]


def _words(text: str) -> str:
    spaced = re.sub(r"[^a-z0-9]+", " ", _CAMEL.sub(" ", text).lower())
    return re.sub(r"\bx rays?\b", "xray", re.sub(r"\bct scans?\b", "ct", spaced)).strip()


def _joined(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", text.lower())


@cache
def _key_words() -> dict[str, Any]:
    import yaml

    text = (resources.files("datasets_spec.catalog") / "key_words.yaml").read_text(encoding="utf-8")
    told: dict[str, Any] = yaml.safe_load(text)
    return told
