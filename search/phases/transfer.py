"""Every source alone, and the matched controls: the rows of the transfer matrix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.ledger.records import Kind, Record, control_arm, single_arm
from search.space.composition import Composition
from search.vocabulary import Stage
from trainers.recipe import Recipe


def is_matrix_first(records: Iterable[Record]) -> bool:
    """Whether the search knows the matrix; not in a study whose search began without it, as they did before."""
    for record in records:
        if record.get("kind") == Kind.suggestion:
            return False
        if record.get("kind") == Kind.trial and record["stage"] == Stage.single:
            return True
    return True


def run_transfer(run: StudyRun) -> None:
    """Train every source alone, a few with further seeds, and a control of the same samples and steps a target."""
    spec = run.spec
    if not spec.transfer.enabled:
        return
    rows = run.train_rows
    sizes = {s: min(spec.single_num_samples, rows[s]) for s in spec.space.composition.available}
    repeated = spec.transfer.repeated(tuple(sizes), spec.seed)
    wanted = [(source, seed, "a row of the transfer matrix") for seed in spec.transfer.seeds for source in sizes]
    wanted += [
        (source, seed, "repeated with another seed: the training noise of the transfer matrix")
        for seed in spec.transfer.further_seeds
        for source in repeated
    ]
    if repeated:
        run.decide(f"training noise of the transfer matrix: from {', '.join(repeated)}, trained with further seeds")
    planned = [
        PlannedTrial(
            spec=run.factory.spec(Composition({source: sizes[source]}), spec.recipe, seed, ("search",)),
            stage=Stage.single,
            arm=single_arm(source),
            reason=reason,
        )
        for source, seed, reason in wanted
    ]
    for seed in spec.transfer.seeds:
        for count in sorted(set(sizes.values())):
            planned += plan_controls(run, count, spec.recipe, seed, ("search",), Stage.control)
    run.run_list(planned)


def plan_controls(
    run: StudyRun, num_samples: int, recipe: Recipe, seed: int, splits: Sequence[str], stage: Stage
) -> list[PlannedTrial]:
    """Return one matched control for every target: same number of samples and steps, from unrelated subsets."""
    planned: list[PlannedTrial] = []
    for eval_set in run.spec.eval_sets:
        composition = run.factory.control(eval_set, num_samples)
        if composition is None:
            run.decide(f"{eval_set}: no unrelated subset, so there is no control and no CG gain")
            continue
        if composition.total < num_samples:
            run.decide(
                f"{eval_set}: unrelated subsets have {composition.total} of {num_samples} samples; "
                "the control is not matched, so no CG gain is given (add control_sources)"
            )
            continue
        spec = run.factory.spec(composition, recipe, seed, splits)
        planned.append(
            PlannedTrial(spec=spec, stage=stage, arm=control_arm(eval_set), reason=f"matched control of {eval_set}")
        )
    return planned
