"""The transfer matrix: what each source subset alone does for each target."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.atomic import replace_file
from datasets_spec.canonical import canonical_json
from datasets_spec.catalog.keys import Key, TaskMap, shared_elements
from search.evidence.outcomes import ArmOutcomes, Outcomes
from search.evidence.spreadsheet import safe_cell
from search.ledger.records import Record, control_arm, of_arm, scored_on, training_size, trials_of
from search.seeds import derived_seed
from search.statistics.bootstrap import PairedDifference, paired_difference
from search.statistics.verdicts import benjamini_hochberg
from search.vocabulary import Estimator, Stage, Status

if TYPE_CHECKING:
    import pandas as pd

# Column and kind, in the order of the file. `gain_ci_*` and `exposure` come after the columns that other tools were
# promised.
TRANSFER_COLUMNS: dict[str, str] = {
    "source": "str", "target": "str", "shared_elements": "str", "gain": "float", "cg_gain": "float",
    "ci_low": "float", "ci_high": "float", "n": "int", "seeds": "int", "split": "str", "estimator": "str",
    "gain_ci_low": "float", "gain_ci_high": "float", "exposure": "str", "p_value": "float", "q_value": "float",
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

    A source with trials of several sizes or recipes is shown with those of most seeds, then of most samples.
    Controls are matched by number of samples, steps and recipe. Intervals are 95 %, paired by question, over
    questions and seeds (`paired_difference`); with one seed they hold the chance of the questions only.

    Args:
        records: the ledger's records.
        outcomes: of their questions.
        subset_keys: the key of every source and target.
        task_map: decides which elements are shared.
        targets: the columns of the matrix.
        split: the split that is compared.
        seed: of the resampling.

    Returns:
        Columns `TRANSFER_COLUMNS`, sorted by source and target; `ci_*` and `p_value` belong to `cg_gain` where there
        is one, else to `gain`. `q_value` is adjusted over the whole matrix (Benjamini and Hochberg): a matrix is
        explored, not claimed.

    Raises:
        UserError: outcomes are not those of the ledger, or were scored on different questions.
    """
    import pandas as pd

    trials = trials_of(records)
    rows = []
    for source, singles in sorted(_singles_by_source(trials).items()):
        for target in targets:
            arm = outcomes.of_arm(singles, target, split)
            if arm is None:
                continue
            shared = shared_elements(subset_keys[source], subset_keys[target], task_map)
            place = {"source": source, "target": target, "shared_elements": "+".join(shared)}
            control = _matched_control(trials, singles[0], target)
            pair_seed = derived_seed(seed, "transfer", source, target, split)
            to_baseline = _difference(outcomes, arm, _baseline(trials), target, split, pair_seed)
            to_control = _difference(outcomes, arm, control, target, split, pair_seed)
            exposure = next(e["exposure"] for r in singles if (e := scored_on(r, target, split)) is not None)
            rows.append(place | _figures(arm, to_baseline, to_control) | {"split": split, "exposure": exposure})
    for row, q in zip(rows, benjamini_hochberg([row["p_value"] for row in rows]), strict=True):
        row["q_value"] = q
    frame = pd.DataFrame(rows, columns=list(TRANSFER_COLUMNS))
    return frame.sort_values(["source", "target"], kind="stable", ignore_index=True)


def _singles_by_source(trials: Sequence[Record]) -> dict[str, list[Record]]:
    """The finished single-source trials of each source, of one size and recipe."""
    by_size: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in trials:
        composition = record.get("composition") or {}
        if record["stage"] == Stage.single and record["status"] == Status.finished and len(composition) == 1:
            by_size[next(iter(composition))][canonical_json(training_size(record))].append(record)

    def evidence(size: tuple[str, list[Record]]) -> tuple[int, int, str]:
        return len({record["seed"] for record in size[1]}), size[1][0]["num_train_samples"], size[0]

    return {source: max(sizes.items(), key=evidence)[1] for source, sizes in by_size.items()}


def _matched_control(trials: Sequence[Record], single: Record, target: str) -> list[Record]:
    size = training_size(single)
    return [record for record in of_arm(trials, control_arm(target)) if training_size(record) == size]


def _baseline(trials: Sequence[Record]) -> list[Record]:
    return [record for record in trials if record["stage"] == Stage.baseline]


def _difference(
    outcomes: Outcomes, arm: ArmOutcomes, others: Sequence[Record], target: str, split: str, seed: int
) -> PairedDifference | None:
    other = outcomes.of_arm(others, target, split)
    if other is None:
        return None
    paired = outcomes.paired(arm, other, target)
    return paired_difference([paired], seed=seed, second_is_trained=other.is_trained)


def _figures(
    arm: ArmOutcomes, to_baseline: PairedDifference | None, to_control: PairedDifference | None
) -> dict[str, Any]:
    leading = to_control or to_baseline
    return {
        "gain": None if to_baseline is None else to_baseline.difference,
        "gain_ci_low": None if to_baseline is None else to_baseline.ci_low,
        "gain_ci_high": None if to_baseline is None else to_baseline.ci_high,
        "cg_gain": None if to_control is None else to_control.difference,
        "ci_low": None if leading is None else leading.ci_low,
        "ci_high": None if leading is None else leading.ci_high,
        "n": len(arm.sample_ids),
        "seeds": len(arm.seeds),
        "p_value": 1.0 if leading is None else leading.p_value,
        "estimator": Estimator.single.value,
    }


def write_transfer_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write `compute_transfer`'s result atomically; no text cell can be run as a formula by a spreadsheet."""
    safe = frame.copy()
    for column in safe.columns:
        safe[column] = [safe_cell(value) for value in safe[column]]
    replace_file(path, lambda temporary: safe.to_csv(temporary, index=False, lineterminator="\n"))
