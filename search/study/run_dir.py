"""The study directory: what lies where, who it belongs to, and whether the same study is going on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.errors import UserError
from search.ledger.ledger import Ledger
from search.ledger.records import Record, trials_of
from search.study.spec import StudySpec
from trainers.trial.folder import CACHE_DIR, TRIALS_DIR

IDENTITY_KEY = "identity"  # what the study stands on besides its spec, beside the spec's own keys
# May change between two runs of the same study: how it runs, and how long it goes on. `own_key_samples` follows from
# the catalog and `few_shot`, which may not; studies of before there was such a limit go on with it.
MAY_CHANGE = (
    "execution",
    "backbone.activation_checkpointing",
    "space.composition.own_key_samples",
    "strategy.num_trials",
    "budget_gpu_hours",
    "budget_wall_h",
    "transfer.repeats",
    "transfer.repeat_seeds",
    "confirm.enabled",
    "confirm.open_sealed",
    "quarantine_limit",
    "strata",
    "tracking",
)
# Only prepared data say these (`with_rows`): until they are read, a study is compared without.
FROM_DATA = "space.composition.source_rows"
MUST_NOT_CHANGE = ("execution.gpus_per_worker",)  # decides device and number format, hence every identity
# What a deterministic strategy sees at a proposal depends on how many trials run at once.
# A search that follows the matrix knows its trials.
MUST_NOT_CHANGE_IF_DETERMINISTIC = ("execution.max_concurrent", "transfer.repeats", "transfer.repeat_seeds")

# What of a study's identity may have changed though nobody changed the study.
_OF_THE_VERSION = {
    "backbone": "the backbone's files changed, or the study was begun by a version that did not look at all of them",
    "trainer": "this version trains such recipes otherwise than the one that began the study (dropout, a trained "
    "projector, 16 bits, a named attention), and one ledger must not mix both",
    "scorer": "this version compares answers in words otherwise than the one that began the study, and one ledger must "
    "not mix both",
}
_SCORED_ANEW = (
    " (the field `reuse` takes over trials whose adapters were kept, `execution.keep_adapters`, and scores them anew; "
    "others, and those with seeds of the confirmation, are trained again)"
)


class RunFile(StrEnum):
    """What a study directory holds, by names relative to it; a name without a suffix is a folder."""

    study = "study.resolved.yaml"
    run = "run.json"
    ledger = "ledger"
    facts = "inputs/study.json"
    questions = "inputs/questions.parquet"
    trials = TRIALS_DIR
    cache = CACHE_DIR
    backbones = "backbones"
    backbones_markdown = "backbones.md"
    report = "report"
    page = "report/index.html"
    flat_page = "report/flat.html"
    figures = "report/figures"
    trials_table = "report/trials.parquet"
    trials_markdown = "report/trials.md"
    trial_classes = "report/trial_classes.parquet"
    transfer = "report/transfer.csv"
    transfer_markdown = "report/transfer.md"
    transfer_latex = "report/transfer.tex"
    appendix_markdown = "report/appendix.md"
    appendix_latex = "report/appendix.tex"
    design = "report/design.json"
    design_csv = "report/design.csv"
    design_markdown = "report/design.md"
    findings = "report/findings.json"
    explanation = "report/explanation.json"
    top_up = "report/top_up.json"
    timeline = "report/timeline.json"
    selection = "selection/selection.json"
    selection_markdown = "selection/selection.md"
    mix = "selection/mix.yaml"


@dataclass(frozen=True, slots=True)
class RunDir:
    """A study directory; `run_dir / RunFile.page` is where something of it lies."""

    root: Path

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    def __str__(self) -> str:
        return str(self.root)

    @property
    def name(self) -> str:
        """The directory's own name."""
        return self.root.name

    def absolute(self) -> RunDir:
        """The same directory for a process that stands elsewhere."""
        return RunDir(self.root.absolute())

    def of_backbone(self, name: str) -> RunDir:
        """The directory of one backbone, where a design is run on several."""
        return RunDir(self / RunFile.backbones / name)

    def read_records(self) -> tuple[Record, ...]:
        """All records of the ledger, in their order.

        Raises:
            LedgerError: there is no ledger, or it is damaged.
        """
        with Ledger.open(self / RunFile.ledger, writer=False) as ledger:
            return ledger.records()

    def read_trials(self) -> list[Record]:
        """The records of the trials that have ended.

        Raises:
            LedgerError: there is no ledger, or it is damaged.
        """
        return trials_of(self.read_records())


def run_dir_of(study_path: Path, spec: StudySpec, chosen: Path | None = None) -> RunDir:
    """The chosen directory, or runs/<study name> beside the study file, so that the same command resumes anywhere."""
    return RunDir(chosen or study_path.resolve().parent / "runs" / spec.name)


def claim_run_dir(run_dir: RunDir, spec: StudySpec, identity: Mapping[str, str]) -> None:
    """Create the directory for this study, or make sure that it is this study's.

    Args:
        run_dir: the study directory.
        spec: the study with overrides applied.
        identity: what a study stands on besides its spec: store, backbone, trainer (`phases.open_study`).

    Raises:
        UserError: the directory belongs to another study (names every difference), or its file is damaged.
    """
    import yaml

    require_same_study(run_dir, spec, identity)
    run_dir.root.mkdir(parents=True, exist_ok=True)
    now = {**spec.model_dump(mode="json"), IDENTITY_KEY: dict(identity)}
    replace_text(run_dir / RunFile.study, yaml.safe_dump(now, sort_keys=False, allow_unicode=True))


def require_same_study(run_dir: RunDir, spec: StudySpec, identity: Mapping[str, str] | None = None) -> None:
    """Make sure that a directory holds this study or none; what is not known yet of it is not compared.

    Args:
        run_dir: the study directory.
        spec: the study with overrides applied.
        identity: as `claim_run_dir`; None before the data are read.

    Raises:
        UserError: as `claim_run_dir`.
    """
    path = run_dir / RunFile.study
    if not path.is_file():
        return
    before = _with_defaults(_read_mapping(path))
    known = before.get(IDENTITY_KEY) if identity is None else dict(identity)
    now = {**spec.model_dump(mode="json"), IDENTITY_KEY: known}
    changed = [line for line in differences(before, now) if not _may_change(line, spec.deterministic)]
    if identity is None:
        changed = [line for line in changed if not _is_from_data(line, spec)]
    if changed:
        raise UserError(
            f"{run_dir} holds another study; it differs in:\n    " + "\n    ".join(changed),
            hint=_hint(changed),
        )


def require_results_of(run_dir: RunDir, spec: StudySpec, store: str | None = None) -> None:
    """Make sure that what is said of a directory's trials is said of the study they were trained for, and of its rows.

    Args:
        run_dir: the study directory.
        spec: the study with overrides applied. Where its store lies may have changed since.
        store: fingerprint of the data, where they are read.

    Raises:
        UserError: the directory belongs to another study (names every difference), or was trained on other rows.
    """
    path = run_dir / RunFile.study
    before = _read_mapping(path) if path.is_file() else {}
    require_same_study(run_dir, spec.model_copy(update={"store": before.get("store", spec.store)}))
    trained_on = str((before.get(IDENTITY_KEY) or {}).get("store", ""))
    if store and trained_on and trained_on != store:
        raise UserError(
            f"the store at {spec.store} holds other rows ({store[:12]}) than {run_dir} was trained on "
            f"({trained_on[:12]})",
            hint="`recombine data prepare STUDY` prepares the study's own rows again; give every study its own `store`",
        )


def _hint(changed: Sequence[str]) -> str:
    places = {line.split(":", 1)[0] for line in changed}
    reasons = [what for name, what in _OF_THE_VERSION.items() if f"{IDENTITY_KEY}.{name}" in places]
    if len(reasons) < len(places):
        return "undo the change, or give another directory with --run-dir"
    reuse = _SCORED_ANEW if places == {f"{IDENTITY_KEY}.scorer"} else ""
    return (
        f"{'; '.join(reasons)}: start it anew in another directory with --run-dir{reuse}; "
        "`recombine report STUDY` still shows this one"
    )


def _with_defaults(before: Mapping[str, Any]) -> dict[str, Any]:
    """The stored study with fields that were added since; as it stands where it is no study of this version."""
    identity = before.get(IDENTITY_KEY)
    fields = {name: value for name, value in before.items() if name != IDENTITY_KEY}
    try:
        filled = StudySpec.model_validate_json(json.dumps(fields)).model_dump(mode="json")
    except (TypeError, ValueError):
        return dict(before)
    return filled | {IDENTITY_KEY: identity}


def read_resolved(run_dir: RunDir) -> StudySpec:
    """Return the spec of the study that a directory holds.

    Raises:
        UserError: the directory holds no study, or a damaged one.
    """
    path = run_dir / RunFile.study
    if not path.is_file():
        raise UserError(
            f"{run_dir} holds no study ({RunFile.study} is missing)", hint="`recombine run STUDY` makes one"
        )
    resolved = _read_mapping(path)
    resolved.pop(IDENTITY_KEY, None)
    try:
        return StudySpec.model_validate_json(json.dumps(resolved))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{path} is not of this version or was changed by hand", hint="run the study again from its own file"
        ) from error


def holds_exactly(run_dir: RunDir, spec: StudySpec) -> bool:
    """Whether a directory holds this very study, as far as a study is known before its data are read.

    Raises:
        UserError: as `read_resolved`.
    """
    before, now = (each.model_dump(mode="json") for each in (read_resolved(run_dir), spec))
    return all(_is_from_data(line, spec) for line in differences(before, now))


def read_identity(run_dir: RunDir) -> dict[str, str]:
    """What the study of a directory stands on besides its spec (`claim_run_dir`); known from its first start on.

    Raises:
        UserError: the file is damaged.
    """
    return dict(_read_mapping(run_dir / RunFile.study).get(IDENTITY_KEY) or {})


def differences(before: Any, now: Any, where: str = "") -> Iterator[str]:
    """Yield one line for every leaf in which two plain structures differ."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in sorted({*before, *now}):
            yield from differences(before.get(key), now.get(key), f"{where}.{key}" if where else str(key))
    elif before != now:
        yield f"{where}: was {json.dumps(before, default=str)}, is {json.dumps(now, default=str)}"


def _read_mapping(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: {type(error).__name__}", hint="restore it from a copy") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: it holds no mapping of keys", hint="restore it from a copy")
    return content


def _is_from_data(line: str, spec: StudySpec) -> bool:
    return spec.space.composition.source_rows is None and line.startswith(f"{FROM_DATA}:")


def _may_change(line: str, is_deterministic: bool) -> bool:
    where = line.split(":", 1)[0]
    if where in MUST_NOT_CHANGE or (is_deterministic and where in MUST_NOT_CHANGE_IF_DETERMINISTIC):
        return False
    return any(where == name or where.startswith(f"{name}.") for name in MAY_CHANGE)
