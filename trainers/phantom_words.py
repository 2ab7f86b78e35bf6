"""Words and templates of the backbone's own training: elements and generic questions, never a rule.

Generic questions spell polarity and region out (``bright``, ``upper``). No question of the corpus appears here,
and nothing links a modality to a polarity or an area to a region; tests hold that.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from datasets_spec.phantom.questions import NEW_OPTION_WORDS, NEW_TEMPLATES, TEMPLATES
from datasets_spec.phantom.world import AREAS, BASE_SHAPES, CHANGES, KINDS, MODALITIES, ORDINALS, REGIONS, SIZES

POLARITY_WORDS: Final = ("dark", "bright")  # index = bright

GENERIC_TEMPLATES: Final = MappingProxyType(
    {
        "presence": "In the {region} region is any {polarity} spot visible?",
        "size": "In the {region} region how large is the {polarity} spot?",
        "kind": "In the {region} region what shape is the {polarity} spot?",
        "change": "In the {region} region compared with the first image how is the {polarity} spot in the second?",
    }
)
# Questions about one of two images: the order words must be understood before a comparison can be.
ORDINAL_TEMPLATES: Final = MappingProxyType(
    {
        "presence": "In the {region} region of the {ordinal} image is any {polarity} spot visible?",
        "size": "In the {region} region of the {ordinal} image how large is the {polarity} spot?",
        "kind": "In the {region} region of the {ordinal} image what shape is the {polarity} spot?",
    }
)
GENERIC_OPTIONS: Final = MappingProxyType({"presence": ("yes", "no"), "size": SIZES, "kind": KINDS, "change": CHANGES})
NAME_MODALITY: Final = "What modality is this image?"
NAME_ORGAN: Final = "Which organ is shown?"
COPY: Final = "Which option says {word}?"


def _words(text: str) -> set[str]:
    return {word for word in text.replace("?", " ? ").split() if not word.startswith("{")}


def _template_words() -> set[str]:
    texts = [*GENERIC_TEMPLATES.values(), *ORDINAL_TEMPLATES.values(), NAME_MODALITY, NAME_ORGAN, COPY]
    return set().union(*(_words(text) for text in texts))


def _option_words() -> set[str]:
    return {word for words in GENERIC_OPTIONS.values() for word in words}


def copy_words() -> tuple[str, ...]:
    """Words that text-only copy items name and offer: all that stand in a slot or an option, old and new.

    Copying gives the corpus's task words an embedding of their own, and no meaning.
    """
    new = {word for words in NEW_OPTION_WORDS.values() for word in words}
    new |= set().union(*(_words(text) for text in (*TEMPLATES.values(), *NEW_TEMPLATES.values()))) - {"?"}
    slots = {*MODALITIES, *AREAS, *BASE_SHAPES, *REGIONS, *POLARITY_WORDS, *ORDINALS}
    return tuple(sorted(new | slots | _option_words()))


GENERIC_WORDS: Final = tuple(
    sorted({*_template_words(), *_option_words(), *REGIONS, *POLARITY_WORDS, *ORDINALS, *BASE_SHAPES, "photo"})
)
