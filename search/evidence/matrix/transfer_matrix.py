"""The transfer matrix: what each source subset alone does for each target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from datasets_spec.atomic import replace_file
from datasets_spec.catalog.keys import Key, TaskMap, shared_elements
from search.evidence.matrix.best_sources import SourceStanding, compare_with_best
from search.evidence.matrix.noise import MatrixNoise, matrix_noise
from search.evidence.matrix.single_sources import singles_by_source
from search.evidence.matrix.verdicts import CellContrast, JudgedCell, matrix_verdicts
from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.evidence.spreadsheet import safe_cell
from search.ledger.records import Record, control_arm, of_arm, scored_on, training_size, trials_of
from search.seeds import derived_seed
from search.statistics.ties import is_rounding
from search.vocabulary import Estimator, Exposure, Stage

if TYPE_CHECKING:
    import pandas as pd

# Column and kind, in the order of the file. What follows `exposure` came later than what other tools were promised.
TRANSFER_COLUMNS: dict[str, str] = {
    "source": "str", "target": "str", "shared_elements": "str", "gain": "float", "cg_gain": "float",
    "ci_low": "float", "ci_high": "float", "n": "int", "seeds": "int", "split": "str", "estimator": "str",
    "gain_ci_low": "float", "gain_ci_high": "float", "exposure": "str", "p_value": "float", "q_value": "float",
    "gain_q_value": "float", "verdict": "str", "gain_verdict": "str", "confidence": "float", "gain_confidence": "float",
    "training_noise": "float", "training_noise_freedom": "float", "accuracy": "float", "normalised_gain": "float",
    "normalised_cg_gain": "float", "standing": "str", "behind_best": "float", "behind_best_p_value": "float",
}  # fmt: skip


def compute_transfer(
    records: Iterable[Record],
    outcomes: Outcomes,
    subset_keys: Mapping[str, Key],
    task_map: TaskMap,
    targets: Sequence[str],
    split: str,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Gain and CG gain of each source for each target, estimated from trials on that source alone.

    Of a source with trials of several sizes or recipes those of one are taken (`singles_by_source`). Controls are
    matched by number of samples, steps and recipe. Cells are paired by question; their intervals and tests hold the
    chance of questions and of training seeds (`paired_difference`), the latter as the study's repeated trainings show
    it (`matrix_noise`). Where none was repeated a cell has no interval and claims nothing.

    Args:
        records: the ledger's records.
        outcomes: of their questions.
        subset_keys: the key of every source and target.
        task_map: decides which elements are shared.
        targets: the columns of the matrix.
        split: the split that is compared.
        seed: of the resampling.

    Returns:
        Columns `TRANSFER_COLUMNS`, sorted by source and target; `ci_*`, `p_value`, `q_value` and `verdict` belong to
        `cg_gain` where there is one, else to `gain`, those with `gain_` in front to `gain`. They are judged over the
        whole matrix (`matrix_verdicts`). `training_noise` is the standard deviation between seeds, as a share.
        `accuracy` is the source's own; `normalised_*` the share of the way from the baseline (the control) to
        perfect, (after - before) / (1 - before), missing where nothing was left to gain; `standing` and `behind_best*`
        say which sources of a target are not told from its best one (`compare_with_best`).

    Raises:
        UserError: outcomes are not those of the ledger, or were scored on different questions.
    """
    trials = trials_of(records)
    noise = {target: matrix_noise(trials, outcomes, target, split) for target in targets}
    measured = _Measured(trials, outcomes, noise, subset_keys, task_map, split, seed)
    by_source = sorted(singles_by_source(trials).items())
    places = ((source, singles, target) for source, singles in by_source for target in targets)
    cells = [cell for place in places if (cell := measured.cell(*place)) is not None]
    return _judged_frame(cells, _standings(cells, outcomes, noise, seed))


class _Cell(NamedTuple):
    """A source on a target, and what it is compared with."""

    place: dict[str, Any]
    arm: ArmOutcomes
    control: ArmOutcomes | None
    baseline: ArmOutcomes | None
    to_control: CellContrast | None
    to_baseline: CellContrast | None


class _Measured(NamedTuple):
    """What was measured on a split, and how it is compared."""

    trials: Sequence[Record]
    outcomes: Outcomes
    noise: Mapping[str, MatrixNoise]
    subset_keys: Mapping[str, Key]
    task_map: TaskMap
    split: str
    seed: int

    def cell(self, source: str, singles: Sequence[Record], target: str) -> _Cell | None:
        """None where the source's trials were not scored on the target."""
        split = self.split
        arm = self.outcomes.of_arm(singles, target, split)
        if arm is None:
            return None
        control = self.outcomes.of_arm(_matched_control(self.trials, singles[0], target), target, split)
        baseline = self.outcomes.of_arm(_baseline(self.trials), target, split)
        pair_seed = derived_seed(self.seed, "transfer", source, target, split)
        to_control, to_baseline = (
            None if other is None else _contrast(self.outcomes, arm, other, target, self.noise[target], pair_seed)
            for other in (control, baseline)
        )
        shared = shared_elements(self.subset_keys[source], self.subset_keys[target], self.task_map)
        place = {"source": source, "target": target, "shared_elements": "+".join(shared), "split": split}
        exposure = next(e["exposure"] for r in singles if (e := scored_on(r, target, split)) is not None)
        return _Cell(place | {"exposure": exposure}, arm, control, baseline, to_control, to_baseline)


def _judged_frame(cells: Sequence[_Cell], standings: Mapping[tuple[str, str], SourceStanding]) -> pd.DataFrame:
    """The rows of all cells, judged together."""
    import pandas as pd

    leading = matrix_verdicts([cell.to_control or cell.to_baseline for cell in cells])
    gains = matrix_verdicts([cell.to_baseline for cell in cells])
    rows = [
        cell.place
        | _figures(cell.arm, judged, gain, cell.to_control is not None)
        | _way_to_perfect(cell)
        | _standing(standings.get((cell.place["source"], cell.place["target"])))
        for cell, judged, gain in zip(cells, leading, gains, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=list(TRANSFER_COLUMNS))
    return frame.sort_values(["source", "target"], kind="stable", ignore_index=True)


def _way_to_perfect(cell: _Cell) -> dict[str, Any]:
    after = float(cell.arm.right.mean())
    return {
        "accuracy": after,
        "normalised_gain": None if cell.baseline is None else normalised(float(cell.baseline.right.mean()), after),
        "normalised_cg_gain": None if cell.control is None else normalised(float(cell.control.right.mean()), after),
    }


def normalised(before: float, after: float) -> float | None:
    """The share of the way from an accuracy to perfect that was gone; None where there was no way to go.

    A loss is negative and may exceed 1: half of what was right may be more than all that was wrong.
    """
    return None if is_rounding(1 - before, scale=1.0) else (after - before) / (1 - before)


def _standings(
    cells: Sequence[_Cell], outcomes: Outcomes, noise: Mapping[str, MatrixNoise], seed: int
) -> dict[tuple[str, str], SourceStanding]:
    """By source and target; what trained on the target's own key is no source of transfer."""
    by_target: dict[str, dict[str, ArmOutcomes]] = defaultdict(dict)
    for cell in cells:
        if cell.place["exposure"] != Exposure.in_domain:
            by_target[cell.place["target"]][cell.place["source"]] = cell.arm
    return {
        (source, target): standing
        for target, arms in by_target.items()
        for source, standing in compare_with_best(arms, outcomes, target, noise[target], seed=seed).items()
    }


def _standing(found: SourceStanding | None) -> dict[str, Any]:
    if found is None:
        return {"standing": ""}
    return {
        "standing": found.standing.value,
        "behind_best": found.behind_best,
        "behind_best_p_value": found.p_value,
    }


def _matched_control(trials: Sequence[Record], single: Record, target: str) -> list[Record]:
    size = training_size(single)
    return [record for record in of_arm(trials, control_arm(target)) if training_size(record) == size]


def _baseline(trials: Sequence[Record]) -> list[Record]:
    return [record for record in trials if record["stage"] == Stage.baseline]


def _contrast(
    outcomes: Outcomes, arm: ArmOutcomes, other: ArmOutcomes, target: str, noise: MatrixNoise, seed: int
) -> CellContrast:
    return CellContrast(
        paired=outcomes.paired(arm, other, target),
        noise=noise.of_cell([arm, other]),
        second_is_trained=other.is_trained,
        seed=seed,
    )


def _figures(
    arm: ArmOutcomes, leading: JudgedCell | None, gain: JudgedCell | None, has_control: bool
) -> dict[str, Any]:
    of_gain = {} if gain is None else gain.figures()
    of_leading = {} if leading is None else leading.figures()
    return {
        "gain": of_gain.pop("difference", None),
        "cg_gain": of_leading.get("difference") if has_control else None,
        **{name: value for name, value in of_leading.items() if name != "difference"},
        **{f"gain_{name}": value for name, value in of_gain.items()},
        "n": len(arm.sample_ids),
        "seeds": len(arm.seeds),
        "estimator": Estimator.single.value,
    }


def write_transfer_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write `compute_transfer`'s result atomically; no text cell can be run as a formula by a spreadsheet."""
    safe = frame.copy()
    for column in safe.columns:
        safe[column] = [safe_cell(value) for value in safe[column]]
    replace_file(path, lambda temporary: safe.to_csv(temporary, index=False, lineterminator="\n"))
