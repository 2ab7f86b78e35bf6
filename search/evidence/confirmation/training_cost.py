"""What a fine-tune costs, and which trials of a search are the best for their cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from search.ledger.records import Record, finished_of
from search.study.objective import objective_values
from search.study.spec import StudySpec
from search.vocabulary import Stage

# Scores that differ by rounding only are equal.
ROUNDING: Final = 1e-9


class TrainingCost(NamedTuple):
    """The less, the cheaper; seconds would hang on the machine and on what else it did.

    Attributes:
        num_passes: samples that go through training: steps times batch size.
        num_samples: different ones that have to be collected and labelled; decides where passes are equal.
    """

    num_passes: int
    num_samples: int


def training_cost(num_steps: int, batch_size: int, composition: Mapping[str, int]) -> TrainingCost:
    """The cost of a fine-tune on so many samples by subset."""
    return TrainingCost(num_steps * batch_size, sum(composition.values()))


def cost_of(record: Record) -> TrainingCost:
    """The cost of a finished trial."""
    return training_cost(record["num_steps"], record["recipe"]["batch_size"], record["composition"])


def cheapest_within(costs: Sequence[TrainingCost], scores: Sequence[float], within: float) -> int:
    """The place of the cheapest of those that score at most `within` (a share) below the best; the first of equals."""
    least = max(scores) - within - ROUNDING
    near = [place for place, score in enumerate(scores) if score >= least]
    return min(near, key=lambda place: (costs[place], -scores[place], place))


def cost_front(spec: StudySpec, trials: Sequence[Record]) -> list[dict[str, Any]]:
    """Trials of the search and the matrix that no cheaper or equally cheap one scores as high as, cheapest first.

    Args:
        spec: the study.
        trials: the ledger's trial records.
    """
    valued = [
        (cost_of(record), sum(values) / len(values), record)
        for record in finished_of(trials, Stage.search, Stage.single, Stage.reused)
        if (values := objective_values(spec, record))
    ]
    front: list[dict[str, Any]] = []
    for cost, score, record in sorted(valued, key=lambda each: (each[0], -each[1], str(each[2]["train_id"]))):
        if front and score <= front[-1]["score"] + ROUNDING:
            continue
        front.append(
            {
                "composition": dict(record["composition"]),
                "num_steps": record["num_steps"],
                "num_passes": cost.num_passes,
                "num_samples": cost.num_samples,
                "train_s": record["train_s"],
                "score": score,
            }
        )
    return front


def front_sentence(front: Sequence[Mapping[str, Any]]) -> str:
    """Score against cost, in words; "" without any."""
    if not front:
        return ""
    points = "; ".join(
        f"{100 * entry['score']:.1f} % with {entry['num_passes']:,} from {entry['num_samples']:,} different ones"
        for entry in front
    )
    return (
        "Best for their training cost (score on search, flattered by the choice, and how many samples go through "
        f"training): {points}."
    )
