"""What a study found, for everything that says it: the page, the terminal, the Markdown and selection.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search.evidence.finding.cases import CAUTIONS, FindingCase, cases_of, facts_of
from search.evidence.finding.headline import (
    compared_sentence,
    few_clusters_sentence,
    headline_of,
    missing_sentence,
)
from search.evidence.finding.next_step import next_step_of
from search.evidence.finding.prospects import Prospects


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a study found, in words.

    Attributes:
        case: that gives the headline.
        also: other cases that hold.
        recommends: whether the headline says what to train on.
        headline: one sentence.
        detail: each comparison over all targets, with its simultaneous interval.
        cautions: a sentence for each other case that warns of something, and for what qualifies all of them.
        next_step: what to do now, with its number.
    """

    case: FindingCase
    also: tuple[FindingCase, ...]
    recommends: bool
    headline: str
    detail: str
    cautions: tuple[str, ...]
    next_step: str

    def as_dict(self) -> dict[str, Any]:
        """The entry of selection.json."""
        return {
            "case": self.case.value,
            "also": [case.value for case in self.also],
            "recommends": self.recommends,
            "headline": self.headline,
            "detail": self.detail,
            "cautions": list(self.cautions),
            "next_step": self.next_step,
        }


def finding_of(
    selection: Mapping[str, Any], *, no_image: Mapping[str, Mapping[str, float]], prospects: Prospects | None = None
) -> Finding:
    """Say what a study found; a pure function of its evidence.

    Args:
        selection: the content of selection.json, of any version.
        no_image: by split, what is reached on each evaluation set without its images, as a share; sets may be missing.
        prospects: what more of anything would show; None leaves the numbers out and says where to get them.
    """
    facts = facts_of(selection, no_image)
    case, *also = cases_of(facts)
    recommends = case in (FindingCase.better_than_all, FindingCase.better_than_some) and facts.beats_untrained
    return Finding(
        case=case,
        also=tuple(also),
        recommends=recommends,
        headline=headline_of(case, facts),
        detail=compared_sentence(facts),
        cautions=(
            *(headline_of(other, facts) for other in also if other in CAUTIONS),
            *([missing_sentence(facts)] if facts.missing else []),
            *([few_clusters_sentence(facts)] if facts.few_clusters else []),
        ),
        next_step=next_step_of(case, facts, prospects),
    )


def read_finding(selection: Mapping[str, Any], no_image: Mapping[str, Mapping[str, float]]) -> Finding:
    """The finding that a selection.json states, or that of one that an older version wrote, without numbers.

    Args:
        selection: its content.
        no_image: as in `finding_of`; used for an older one only.
    """
    stated = selection.get("finding")
    if not isinstance(stated, Mapping):
        return finding_of(selection, no_image=no_image)
    return Finding(
        case=FindingCase(stated["case"]),
        also=tuple(FindingCase(case) for case in stated["also"]),
        recommends=bool(stated["recommends"]),
        headline=str(stated["headline"]),
        detail=str(stated["detail"]),
        cautions=tuple(map(str, stated["cautions"])),
        next_step=str(stated["next_step"]),
    )
