"""Where the figures come from: versions, seeds, hardware, decisions, and how to compute each again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from search.ledger.secrets import without_secrets
from search.report.run_files import RunRecords
from search.report.wording import NOT_KNOWN, count, duration

RECOMPUTE = (
    ("An accuracy", "the mean of the column correct in trials/<name>-<trial>/outcomes-<split>.parquet, over the "
     "rows of that eval_set. Every question counts; what could not be scored counts as wrong."),
    ("An accuracy of words or boxes", "the mean of the column that the study's score section names (token_f1, iou ...) "
     "in the same files; their share of exact answers or fitting boxes is the mean of correct."),
    ("An accuracy's interval", "Wilson's 95 % interval of correct and n in trials.parquet."),
    ("Gain", "the trial's accuracy minus that of the arm baseline on the same eval_set and split."),
    ("CG gain", "the trial's accuracy minus that of its matched control (arm control:<target>): the same number "
     "of samples and steps from subsets that share no element with the target."),
    ("% of the way", "(after - before) / (1 - before) of the two accuracies behind a gain or CG gain."),
    ("Best source, ties", "every source of a target against the leading one, paired by sample_id, with the training "
     "noise of the matrix; tied unless p, adjusted by Dunnett's integral for all sources it may be beaten by, is "
     "below 5 %."),
    ("Right answers by class", "the sum of correct over the questions whose answer it is (inputs/questions.parquet)."),
    ("A difference between arms", "paired by sample_id: both arms answered the same questions. Interval: bootstrap "
     "over questions (patients, where they are known, as wide as their number asks) and seeds. The means that are "
     "compared on a split (or all single targets) are judged together by one step of Dunnett's procedure, because all "
     "share the selected arm: their simultaneous 95 % intervals all hold at once, and one that excludes zero is what "
     "better and worse mean. On confirm the level is divided by the number of finalists that the selected one was "
     "chosen among."),
    ("\"Could have seen\"", "the smallest true difference that this many questions and seeds would detect with "
     "80 % power, judged together with the others."),
    ("The whole page", "`recombine report STUDY` writes it again from ledger and outcomes, without training."),
    ("All of it", "`recombine verify RUN` compares every file with its hash in the ledger and computes every number "
     "again from the ledger and the answers; neither data nor a GPU is needed."),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What one needs to trust or repeat the study.

    Attributes:
        facts: (name, value) pairs.
        versions: (package, version), by name.
        decisions: What was decided automatically, with reasons.
        recompute: (figure, how to compute it again).
        study: The resolved study as YAML, secrets left out; "" when missing.
    """

    facts: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    decisions: tuple[str, ...]
    recompute: tuple[tuple[str, str], ...]
    study: str


def compute_provenance(records: RunRecords) -> Provenance:
    """Collect it from `run.json` and `study.resolved.yaml`.

    Args:
        records: A run's files.

    Returns:
        Text that is ready to print; what was not recorded is a dash.
    """
    run = records.run
    ledger: Mapping[str, Any] = run.get("ledger") or {}
    trials = records.trials.drop_duplicates("train_id")
    seeds = sorted({int(seed) for seed in trials["seed"].dropna()})
    facts = [
        ("Study", records.name),
        ("Recombine", _text(run.get("recombine_version"))),
        ("Started", _text(run.get("started_at"))),
        ("Finished", _text(run.get("finished_at"))),
        ("Wall time", duration(run.get("wall_s"))),
        ("Training time, all trials", duration(float(trials["train_s"].sum())) if len(trials) else NOT_KNOWN),
        ("Runs (starts and resumptions)", count(run.get("num_runs"))),
        ("Study seed", _text(run.get("seed"))),
        ("Training seeds", ", ".join(str(seed) for seed in seeds) or NOT_KNOWN),
        ("Openings of the sealed questions", count(run.get("sealed_openings"))),
        ("Task map (decides what counts as held out)", _text(run.get("task_map"))),
        ("Store fingerprint", _text(run.get("store_fingerprint"))),
        ("Ledger: records these results are made from", count(ledger.get("records"))),
        ("Ledger: digest of their chain", _text(ledger.get("sha256"))),
        ("Recombine: SHA-256 of its sources", _text(run.get("source_sha256"))),
        *(("Command", str(command)) for command in run.get("commands") or ()),
        *_flat("Backbone", run.get("backbone")),
        *_flat("Hardware", run.get("hardware")),
    ]
    versions: Mapping[str, Any] = run.get("versions") or {}
    study = yaml.safe_dump(without_secrets(dict(records.study)), sort_keys=False, allow_unicode=True)
    return Provenance(
        facts=tuple(facts),
        versions=tuple((str(name), str(version)) for name, version in sorted(versions.items())),
        decisions=tuple(str(decision) for decision in run.get("decisions") or ()),
        recompute=RECOMPUTE,
        study=study if records.study else "",
    )


def _text(value: Any) -> str:
    return NOT_KNOWN if value is None or value == "" else str(value)


def _flat(title: str, value: Any) -> list[tuple[str, str]]:
    """A mapping as one fact a line."""
    if isinstance(value, Mapping):
        return [
            (f"{title}: {str(name).replace('_', ' ')}", _text(entry)) for name, entry in without_secrets(value).items()
        ]
    return [(title, _text(value))]
