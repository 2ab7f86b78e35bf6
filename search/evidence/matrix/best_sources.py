"""Which sources may be the best for a target: the leading one, and all that are not told from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from search.evidence.matrix.noise import MatrixNoise
from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.seeds import derived_seed
from search.statistics.bootstrap import paired_difference
from search.statistics.simultaneous import against_one_arm
from search.statistics.ties import index_of_largest
from search.statistics.verdicts import ALPHA


class Standing(StrEnum):
    """Where a source stands among those of its target."""

    best = "best"
    tied = "tied with the best"
    behind = "behind the best"
    unknown = "not compared: training noise is unknown (one seed)"


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceStanding:
    """A source beside the one that leads its target.

    Attributes:
        standing: the word for it.
        behind_best: accuracy of the leading source minus its own, as a share.
        p_value: two-sided, for all sources of the target together; None of the leading one and where noise is unknown.
    """

    standing: Standing
    behind_best: float
    p_value: float | None


def compare_with_best(
    arms: Mapping[str, ArmOutcomes], outcomes: Outcomes, target: str, noise: MatrixNoise, *, seed: int
) -> dict[str, SourceStanding]:
    """Compare every source with the one that leads, paired by question, training noise included.

    A source is called behind at the level at which the truly best one is called so in one target of twenty: it may be
    beaten by any of the others, so it is judged against all of them at once (Dunnett's procedure; multiple comparisons
    with the best, Hsu, Multiple Comparisons, 1996, chapter 4).

    Args:
        arms: the outcomes of each source alone; those that trained on the target's own key do not belong here.
        outcomes: pairs them.
        target: the evaluation set.
        noise: training noise on it.
        seed: of the resampling.
    """
    names = sorted(arms)
    if not names:
        return {}
    best = names[index_of_largest([float(arms[name].right.mean()) for name in names])]
    found = {best: SourceStanding(standing=Standing.best, behind_best=0.0, p_value=None)}
    for name in names:
        if name == best:
            continue
        difference = paired_difference(
            [outcomes.paired(arms[best], arms[name], target)],
            seed=derived_seed(seed, "best", name, target),
            seed_variance=noise.of_cell([arms[best], arms[name]]),
        )
        if not difference.has_seed_noise:
            standing, p_value = Standing.unknown, None
        else:
            others = [len(arms[other].seeds) for other in names if other != name]
            p_value = against_one_arm(len(arms[name].seeds), [others]).adjusted(difference.p_value)
            standing = Standing.behind if p_value < ALPHA else Standing.tied
        found[name] = SourceStanding(standing=standing, behind_best=difference.difference, p_value=p_value)
    return found
