"""The fixed order of a question's options."""

from __future__ import annotations

import re
from collections.abc import Sequence

from datasets_spec.canonical import content_hash
from datasets_spec.sample import option_text_key
from datasets_spec.splits.row_order import label_digest

# "Both A and B", "none of the above": such options lose their meaning when they move.
_REFERS_TO_OTHERS = re.compile(r"\bof the above\b|\b[A-Z] (?:and|or|&) [A-Z]\b", re.IGNORECASE)


def option_order(seed: int, question: str, options: Sequence[str], image_hashes: Sequence[str]) -> tuple[int, ...]:
    """Returns the display order of a question's options; the gold option has no part in it.

    Language models prefer some option letters (arXiv 2309.03882), and published files place gold options
    unevenly (44 % under A in Med-MIM's RAD file), so positions are drawn by hash.

    Args:
        seed: Seed of the store.
        question: The question.
        options: Option texts as published.
        image_hashes: Hashes of the images, in order.

    Returns:
        Indexes into ``options``, in display order; the published order where an option refers to others.
    """
    if keeps_published_order(options):
        return tuple(range(len(options)))
    key = content_hash([seed, question, sorted(options), list(image_hashes)])
    seen: dict[str, int] = {}
    ranks = []
    for index, option in enumerate(options):
        copy = seen[option] = seen.get(option, -1) + 1
        ranks.append((label_digest([key, option, copy]), index))
    return tuple(index for _, index in sorted(ranks))


def keeps_published_order(options: Sequence[str]) -> bool:
    """Says whether an option refers to other options, so that none may move.

    Args:
        options: Option texts.
    """
    return any(_REFERS_TO_OTHERS.search(option_text_key(option)) for option in options)
