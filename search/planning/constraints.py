"""What a plan says of the study's constraints."""

from __future__ import annotations

from search.strategies.registry import WITH_MODEL
from search.study.spec import StudySpec


def constraint_lines(spec: StudySpec) -> list[str]:
    """What is asked of a selection beside its score, when it is looked at, and what a strategy makes of it."""
    return [*_asked_lines(spec), *_cheaper_lines(spec)]


def _cheaper_lines(spec: StudySpec) -> list[str]:
    if spec.confirm.cheaper_within is None:
        return []
    line = (
        f"cheaper finalist: of finalists within {spec.confirm.cheaper_within:g} points of the best on `confirm` that "
        "with the fewest passes (steps times batch) is chosen, then that with the fewest samples"
    )
    if not {"num_steps", "batch_size"} & set(spec.space.recipe.dimensions):
        line += "; all trials have as many passes here, so the number of samples decides"
    return [line]


def _asked_lines(spec: StudySpec) -> list[str]:
    section = spec.constraints
    if section is None:
        return []
    asked = []
    if section.no_image_floor:
        asked.append(f"none of {', '.join(spec.eval_sets)} below what is reached on it without images")
    if section.most_lost is not None:
        asked.append(f"at most {section.most_lost:g} points lost on each of {', '.join(spec.kept_sets)}")
    lines = [
        f"constraints: {'; '.join(asked)}. What breaks one on `search` becomes a finalist only where nothing keeps "
        "them all; whether the selection keeps them is judged on `confirm`, floors on `sealed` once that is opened"
    ]
    if spec.strategy.name not in WITH_MODEL:
        lines.append(f"note: the strategy {spec.strategy.name} proposes trials without regard to the constraints")
    return lines
