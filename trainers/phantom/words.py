"""Words and templates of the backbone's own training: elements and generic questions, never a rule.

Generic questions fill the corpus's frame with words that spell region, pattern and criterion out (``upper``, ``ring``,
``large``). Each of these concepts has several words, as in a language, so that a word the backbone has not met in a
slot can come to mean one of them. Nothing links a modality to a pattern, an area to a region or a task to a criterion;
tests hold that.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from datasets_spec.phantom.questions import OPTION_WORDS, TEMPLATES
from datasets_spec.phantom.world import AREAS, BASE_SHAPES, MODALITIES, ORDINALS, TASKS

REGION_WORDS: Final = MappingProxyType(
    {
        "upper": ("upper", "top", "superior"),
        "lower": ("lower", "bottom", "inferior"),
        "outer": ("outer", "lateral", "flanking"),
        "inner": ("inner", "medial", "axial"),
        "middle": ("middle", "central", "equatorial"),
        "edge": ("edge", "polar", "terminal"),
    }
)
PATTERN_WORDS: Final = MappingProxyType(
    {
        "solid": ("solid", "filled", "massive"),
        "ring": ("ring", "hollow", "annular"),
        "twin": ("twin", "double", "paired"),
    }
)
CRITERION_WORDS: Final = MappingProxyType(
    {
        "large": ("large", "big", "bulky"),
        "upright": ("upright", "standing", "vertical"),
        "left": ("left", "leftward", "sinister"),
        "strong": ("strong", "intense", "dense"),
    }
)
NAME_MODALITY: Final = "What modality is this image?"
NAME_ORGAN: Final = "Which organ is shown?"
COPY: Final = "Which option says {word}?"


def _flat(words: MappingProxyType[str, tuple[str, ...]]) -> set[str]:
    return {word for group in words.values() for word in group}


RULE_WORDS: Final = frozenset(_flat(REGION_WORDS) | _flat(PATTERN_WORDS) | _flat(CRITERION_WORDS))
ELEMENT_WORDS: Final = frozenset({*MODALITIES, *AREAS, *TASKS})


def copy_words() -> tuple[str, ...]:
    """Words that text-only copy items name and offer: all that stand in a slot or an option.

    Copying gives the corpus's element words an embedding of their own, and no meaning.
    """
    return tuple(sorted(RULE_WORDS | ELEMENT_WORDS | {*BASE_SHAPES, *ORDINALS} | _flat(OPTION_WORDS)))


def generic_words() -> tuple[str, ...]:
    """Every word of the backbone's own questions that is no option letter."""
    texts = [NAME_MODALITY, NAME_ORGAN, COPY, *TEMPLATES.values()]
    words = {word for text in texts for word in text.replace("?", " ? ").split() if not word.startswith("{")}
    return tuple(sorted(words | set(copy_words()) | {"photo"}))
