"""The files a report is made from, read once; what is missing is said, not guessed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from datasets_spec.errors import UserError
from search.designs.files import read_design
from search.designs.table import DesignTable
from search.evidence.groups.trial_classes import TRIAL_CLASS_COLUMNS
from search.evidence.matrix.transfer_matrix import TRANSFER_COLUMNS
from search.evidence.trials_table import TRIAL_COLUMNS, numeric
from search.study.run_dir import RunDir, RunFile
from search.study.spec import objectives_of

# Not every study has these: a selection must be confirmed, trials must be many enough, versions before had no classes.
OPTIONAL = {RunFile.findings, RunFile.explanation, RunFile.trial_classes}
# All that a page is made from.
DATA_FILES = (
    RunFile.run,
    RunFile.facts,
    RunFile.study,
    RunFile.selection,
    RunFile.trials_table,
    RunFile.trial_classes,
    RunFile.transfer,
    RunFile.findings,
    RunFile.explanation,
    RunFile.design,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecords:
    """Everything a report reads.

    Attributes:
        run_dir: The study directory.
        run: `run.json`, empty when missing.
        study: `study.resolved.yaml`, empty when missing.
        selection: `selection/selection.json`, None until a selection was made.
        trials: One row per (trial, evaluation set, split, rung); no rows when missing. `accuracy` is the study's score:
            of words and boxes the mean mark. `recorded_accuracy` is what the file has under that name.
        transfer: One row per (source, target, estimator, split); no rows when missing.
        missing: The files that are not there yet, relative to `run_dir`.
        trial_classes: Right answers of every trial by class; no rows when missing.
        design: `report/design.json`; None for a study that searches.
        findings: `report/findings.json`: classes and strata of the selection; None before there is one.
        explanation: `report/explanation.json`: what subsets add; None with too few trials.
    """

    run_dir: RunDir
    run: Mapping[str, Any]
    study: Mapping[str, Any]
    selection: Mapping[str, Any] | None
    trials: pd.DataFrame
    transfer: pd.DataFrame
    missing: tuple[str, ...]
    trial_classes: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(TRIAL_CLASS_COLUMNS)))
    design: DesignTable | None = None
    findings: Mapping[str, Any] | None = None
    explanation: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The study's name, or the directory's."""
        return str(self.run.get("study") or self.study.get("name") or self.run_dir.name)

    @property
    def targets(self) -> tuple[str, ...]:
        """What the study's objective is the mean over, in the study's order.

        Targets (objective `cg`), abilities (`multi_image`) or both (`pareto`); whatever was scored when `run.json`
        is missing.
        """
        targets, abilities = (tuple(map(str, self.run.get(field) or ())) for field in ("targets", "abilities"))
        objectives = objectives_of(str(self.study.get("objective", "cg")), targets, abilities)
        named = [name for names in objectives for name in names] or targets or abilities
        if named:
            return tuple(dict.fromkeys(named))
        return tuple(sorted({str(name) for name in self.trials["eval_set"].dropna()}))


def load_run(run_dir: RunDir) -> RunRecords:
    """Read the files of a run.

    Args:
        run_dir: A study directory, finished or not.

    Returns:
        What is there; `missing` names what is not.

    Raises:
        UserError: No file of a study is there, or one is damaged.
    """
    files = {
        RunFile.run: _read_json,
        RunFile.study: _read_yaml,
        RunFile.selection: _read_json,
        RunFile.trials_table: _read_parquet,
        RunFile.transfer: _read_csv,
        RunFile.findings: _read_json,
        RunFile.explanation: _read_json,
        RunFile.trial_classes: _read_parquet,
    }
    found: dict[RunFile, Any] = {}
    for name, read in files.items():
        path = run_dir / name
        if not path.is_file():
            continue
        try:
            found[name] = read(path)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(
                f"{path} cannot be read ({type(error).__name__}).",
                hint=f"`recombine report STUDY --run-dir {run_dir}` writes it again from the ledger.",
            ) from error
    if not set(found) - OPTIONAL:
        wanted = ", ".join(name for name in files if name not in OPTIONAL)
        raise UserError(
            f"{run_dir} is not a study directory: it has none of {wanted}.",
            hint="Give the directory that `recombine run` printed.",
        )
    trials = _with_columns(found.get(RunFile.trials_table), TRIAL_COLUMNS)
    # Charts and tables show what the study goes by; of closed questions both are the same number.
    trials["recorded_accuracy"] = trials["accuracy"]
    trials["accuracy"] = trials["score"].where(trials["score"].notna(), trials["accuracy"])
    return RunRecords(
        run_dir=run_dir,
        run=found.get(RunFile.run, {}),
        study=found.get(RunFile.study, {}),
        selection=found.get(RunFile.selection),
        trials=trials,
        transfer=_with_columns(found.get(RunFile.transfer), TRANSFER_COLUMNS),
        missing=tuple(name.value for name in files if name not in found and name not in OPTIONAL),
        trial_classes=_with_columns(found.get(RunFile.trial_classes), TRIAL_CLASS_COLUMNS),
        design=read_design(run_dir),
        findings=found.get(RunFile.findings),
        explanation=found.get(RunFile.explanation),
    )


def _read_json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    return value


def _read_yaml(path: Path) -> dict[str, Any]:
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a mapping")
    return value


def _read_parquet(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path)


def _read_csv(path: Path) -> pd.DataFrame:
    # A subset may be called "NA" or "none"; only an empty number is missing.
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    for column in numeric(TRANSFER_COLUMNS) & set(frame.columns):
        frame[column] = pd.to_numeric(frame[column].replace("", None))
    return frame


def _with_columns(frame: pd.DataFrame | None, columns: Mapping[str, str]) -> pd.DataFrame:
    """The frame with every expected column, so that later code meets missing values, never missing columns."""
    result = pd.DataFrame(columns=list(columns)) if frame is None else frame.copy()
    for column in columns:
        if column not in result.columns:
            result[column] = None
    for column in numeric(columns) & set(result.columns):
        result[column] = pd.to_numeric(result[column])
    return result


def leading_effects(records: RunRecords, kind: str) -> list[Mapping[str, Any]]:
    """Effects of a kind over all targets: on their mean where there are several."""
    found = [e for e in (records.explanation or {}).get("effects", ()) if e["kind"] == kind]
    overall = [effect for effect in found if effect["target"] in ("mean", "all")]
    return overall or found
