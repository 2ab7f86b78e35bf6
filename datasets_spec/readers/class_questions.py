"""From the class of an image to a closed question: readable names, one of several wordings, options by hash."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from datasets_spec.canonical import content_hash
from datasets_spec.sample import option_text_key
from datasets_spec.storage.place import Place

# All classes are options up to here: graded scales and blood cells have up to eight, and ten options are still a prompt
# of a few lines. Beyond, ten are drawn for every row, the right one among them.
MOST_OPTIONS = 10
# More "classes" are ids or free text.
MOST_CLASSES = 10_000
MOST_CHARACTERS = 200
# "DiabeticRetinopathy" is two words; "mRNA", "COVID19" and "pT1a" are one.
_JOINED_WORDS = re.compile(r"(?<=[a-z]{2})(?=[A-Z][a-z]{2})")


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSubset:
    """What the catalog says of a subset of labelled images, by which its questions are made.

    Args:
        modality: Its modality.
        area: Its area.
        task: Its task, which decides the wordings.
        class_names: Readable names, by folder or label.
        image_root: Folder that image paths start from; that of the images by default.
        files: All its folders and tables: a class of one is an option in the others too.
    """

    modality: str = ""
    area: str = ""
    task: str = ""
    class_names: Mapping[str, str] = field(default_factory=dict)
    image_root: Place | None = None
    files: tuple[Place, ...] = ()

    def name_of(self, label: str) -> str:
        """Returns the readable name of a class.

        Args:
            label: Folder or label as found.
        """
        return self.class_names.get(unicodedata.normalize("NFC", label)) or readable(label)


def readable(label: str) -> str:
    """Makes words of the name of a folder: ``diabetic_retinopathy`` is "diabetic retinopathy".

    Args:
        label: Folder or label as found.

    Returns:
        Text in NFC (file systems differ in how they spell accents) without underscores, control characters and joined
        words; the label itself where nothing else is left.
    """
    text = unicodedata.normalize("NFC", label)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text)
    return " ".join(_JOINED_WORDS.sub(" ", text.replace("_", " ")).split()) or label


def distinct_names(labels: Iterable[str], about: LabelledSubset) -> dict[str, str]:
    """Returns readable names by what they are compared by; equal ones, as of ``Normal`` and ``normal``, are one class.

    Classes that the catalog names are options even where no image has them.

    Args:
        labels: Folders or labels as found.
        about: What the catalog says.
    """
    names = sorted({about.name_of(label) for label in (*labels, *about.class_names)})
    return {option_text_key(name): name for name in reversed(names)}


def options_for(gold: str, classes: Sequence[str], row: str) -> tuple[str, ...]:
    """Returns the options of a row in an order that does not depend on which is right.

    Args:
        gold: The right one, one of ``classes``.
        classes: All classes, in an order of their own.
        row: What the row is told from others by.

    Returns:
        All classes, or ``MOST_OPTIONS`` of them with the right one.
    """
    chosen = {gold} if len(classes) > MOST_OPTIONS else set(classes)
    draw = 0
    while len(chosen) < min(MOST_OPTIONS, len(classes)):
        chosen.add(classes[_number("option", row, str(draw)) % len(classes)])
        draw += 1
    return tuple(sorted(chosen, key=lambda option: _number("order", row, option)))


def question_for(about: LabelledSubset, row: str) -> str:
    """Returns the question of a row, one of its task's wordings.

    Args:
        about: What the catalog says.
        row: What the row is told from others by.
    """
    wordings = wordings_of(about.task)
    return wordings[_number("wording", row) % len(wordings)].format(picture=_picture(about.modality, about.area))


@cache
def wordings_of(task: str) -> tuple[str, ...]:
    """Returns the wordings of a task.

    Args:
        task: The task as the catalog has it.
    """
    text = task.replace("_", " ").casefold()
    for family in _wordings()["tasks"]:
        if any(re.search(rf"\b{re.escape(word)}", text) or not word for word in family["words"]):
            return tuple(family["wordings"])
    raise AssertionError("the last family of wordings.yaml is for all tasks")


@cache
def _picture(modality: str, area: str) -> str:
    told = _wordings()
    known = {name.casefold(): entry for name, entry in told["modalities"].items()}
    entry = known.get(modality.casefold(), {"words": f"{modality} image".strip()})
    areas = {name.casefold(): words for name, words in told["areas"].items()}
    area = area.casefold()
    where = "" if area in entry.get("shows", ()) else areas.get(area, area)
    return f"{where} {entry['words']}".strip()


@cache
def _wordings() -> dict[str, Any]:
    import yaml

    text = (resources.files("datasets_spec.readers") / "wordings.yaml").read_text(encoding="utf-8")
    told: dict[str, Any] = yaml.safe_load(text)
    return told


def _number(*parts: str) -> int:
    return int(content_hash(list(parts))[:15], 16)
