"""The evidence as files: one table in Markdown, the same numbers as JSON, and the figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from datasets_spec.atomic import replace_text
from datasets_spec.phantom.questions import SINGLE
from search.bench.phantom.arms import ARMS
from search.bench.phantom.contrasts import (
    ArmContrast,
    Results,
    TableTarget,
    ability_targets,
    accuracy_cube,
    arm_contrasts,
    bases_of,
    table_summary,
)
from search.bench.phantom.draw import figure_svg
from search.bench.phantom.plan import BASELINE, EvidencePlan


@dataclass(frozen=True, kw_only=True, slots=True)
class PhantomEvidence:
    """Everything that the files hold.

    Attributes:
        arms: arm -> ability -> mean accuracy in per cent; ``none`` are the single-image targets.
        contrasts: what related sources add.
        table: what there is to search for; empty where the table was not trained.
        num_bases: backbones.
        num_seeds: fine-tune seeds of each.
        cpu_s: median CPU seconds of a fine-tune, by part.
    """

    arms: dict[str, dict[str, float]]
    contrasts: list[ArmContrast]
    table: list[TableTarget]
    num_bases: int
    num_seeds: int
    cpu_s: dict[str, float]


def compute_evidence(plan: EvidencePlan, arms: Results, table: Results, confirmed: Results) -> PhantomEvidence:
    """All numbers from the finished fine-tunes; ``table`` and ``confirmed`` may be empty."""
    abilities = (SINGLE, *plan.abilities)
    trained = [result for result in arms if result["sources"]]
    return PhantomEvidence(
        arms={
            arm: {a: float(accuracy_cube(arms, ability_targets(plan, a), arm, bases).mean()) for a in abilities}
            for arm in (BASELINE, *ARMS)
            if (bases := bases_of(arms, arm))
        },
        contrasts=arm_contrasts(arms, plan),
        table=table_summary(table, confirmed, plan) if table else [],
        num_bases=len({result["base"] for result in arms}),
        num_seeds=len({result["seed"] for result in trained}),
        cpu_s={part: median(r["cpu_s"][part] for r in trained) for part in ("rows", "train", "score")},
    )


def write_evidence(evidence: PhantomEvidence, out_dir: Path) -> list[Path]:
    """Write ``evidence.md``, ``evidence.json`` and ``evidence.svg``; returns their paths."""
    files = {
        "evidence.json": json.dumps(asdict(evidence), indent=2) + "\n",
        "evidence.md": evidence_markdown(evidence),
        "evidence.svg": figure_svg(evidence.contrasts, evidence.table),
    }
    for name, text in files.items():
        replace_text(out_dir / name, text)
    return [out_dir / name for name in files]


def evidence_markdown(evidence: PhantomEvidence) -> str:
    """The tables as Markdown."""
    abilities = list(next(iter(evidence.arms.values())))
    names = ["single image" if ability == SINGLE else ability for ability in abilities]
    lines = [
        f"Mean accuracy in %, {evidence.num_bases} bases, {evidence.num_seeds} fine-tune seeds each.",
        "",
        _row("arm", *names),
        _row(*["---"] * (1 + len(names))),
        *(_row(arm, *(f"{row[a]:.1f}" for a in abilities)) for arm, row in evidence.arms.items()),
        "",
        _row("contrast", "targets", "points", "95 % interval", "targets above 0"),
        _row(*["---"] * 5),
        *(_contrast_row(contrast) for contrast in evidence.contrasts),
    ]
    if evidence.table:
        lines += ["", *_table_lines(evidence.table)]
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _contrast_row(contrast: ArmContrast) -> str:
    return _row(
        f"{contrast.first} - {contrast.second}",
        "single image" if contrast.ability == SINGLE else contrast.ability,
        f"{contrast.difference:+.1f}",
        f"{contrast.interval.low:+.1f} to {contrast.interval.high:+.1f}",
        f"{contrast.num_positive} of {contrast.num_targets}",
    )


def _table_lines(table: Sequence[TableTarget]) -> list[str]:
    wide = sum(row.margin >= 5 for row in table)
    return [
        f"Best composition 5 points or more above all data and the best single source: {wide} of {len(table)} targets.",
        "",
        _row("target", "untrained", "best single", "all data", "best of 255", "margin", "its sources"),
        _row(*["---"] * 7),
        *(
            _row(
                row.target,
                *(f"{value:.1f}" for value in (row.baseline, row.best_single, row.all_data, row.best)),
                f"{row.margin:+.1f}",
                ", ".join(row.best_sources),
            )
            for row in sorted(table, key=lambda row: -row.margin)
        ),
    ]
