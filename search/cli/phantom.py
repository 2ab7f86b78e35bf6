"""`recombine phantom`: write the corpus, build its backbone, measure what the pair shows."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from datasets_spec.errors import UserError
from search.cli.console import print_line

BASES_DIR, ARMS_FILE, TABLE_FILE, CONFIRM_FILE = "bases", "arms.jsonl", "table.jsonl", "confirmed.jsonl"


def write_corpus(folder: Path, subsets: Sequence[str] | None, seed: int, num_pool: int, num_test: int) -> None:
    """Write the phantom corpus and say where its catalog is."""
    from datasets_spec.phantom.write import list_subsets, write_phantom

    num = len(subsets) if subsets else len(list_subsets())
    print_line(f"writing {num} {'subset' if num == 1 else 'subsets'} of {num_pool + num_test} rows to {folder}")
    catalog = write_phantom(folder, seed=seed, subsets=subsets or None, num_pool=num_pool, num_test=num_test)
    print_line(f"catalog: {catalog}")


def build_base_model(folder: Path, seed: int, num_threads: int) -> None:
    """Train the phantom backbone and print its accuracies."""
    from trainers.phantom.build_base import build_base

    report = build_base(folder, seed=seed, on_event=print_line, num_threads=num_threads)
    for sort, accuracy in report["accuracy"].items():
        print_line(f"{sort}: {accuracy:.1%}")
    seconds = sum(report["seconds"].values())
    print_line(f"{folder}: {seconds:.0f} CPU-s, all figures in build.json; use it as `backbone.model: {folder}`")


def measure_evidence(
    folder: Path, bases: Sequence[Path], *, num_seeds: int, num_table_seeds: int, num_workers: int
) -> None:
    """Train every arm of the evidence and every composition of its table; goes on where it was stopped.

    Args:
        folder: gets the finished fine-tunes, the tables and the figure.
        bases: folders of backbones; when empty, the shipped one and two that are built in ``folder``.
        num_seeds: fine-tune seeds of every arm on every base.
        num_table_seeds: seeds of the table, on the first base; 0 leaves it out.
        num_workers: processes, one core each.
    """
    from search.bench.phantom.contrasts import pick_from_table
    from search.bench.phantom.fine_tune_pool import run_phantom_trials
    from search.bench.phantom.fine_tunes import PhantomTrial
    from search.bench.phantom.plan import (
        CLAIMED_ARMS,
        CONFIRM_SEEDS,
        arm_trials,
        composition_trials,
        load_plan,
        table_trials,
    )
    from search.bench.phantom.write import compute_evidence, evidence_markdown, write_evidence

    _check_bases(bases)
    plan = load_plan()
    names = [str(base) for base in (bases or _default_bases(folder / BASES_DIR, num_workers))]
    print_line(f"arms: {len(plan.targets)} targets, {len(names)} bases, {num_seeds} seeds")

    def run(trials: list[PhantomTrial], file: str) -> list[dict[str, Any]]:
        return run_phantom_trials(trials, folder / file, num_workers=num_workers, on_event=print_line)

    arms = run(arm_trials(plan, names, range(num_seeds), CLAIMED_ARMS), ARMS_FILE)
    table, confirmed = [], []
    if num_table_seeds:
        print_line(f"table: all compositions of {len(plan.table_sources)} sources, {num_table_seeds} seeds")
        table = run(table_trials(plan, names[0], range(num_table_seeds)), TABLE_FILE)
        picks = {sources for pair in pick_from_table(table, plan).values() for sources in pair} | {plan.table_sources}
        print_line(f"picked from the table: {len(picks)} compositions, again with {len(CONFIRM_SEEDS)} fresh seeds")
        confirmed = run(composition_trials(plan, names[0], sorted(picks), CONFIRM_SEEDS), CONFIRM_FILE)
    write_evidence(compute_evidence(plan, arms, table, confirmed), folder)  # what is claimed is there
    arms = run(arm_trials(plan, names, range(num_seeds)), ARMS_FILE)
    evidence = compute_evidence(plan, arms, table, confirmed)
    paths = write_evidence(evidence, folder)
    print_line(evidence_markdown(evidence))
    print_line(f"wrote {', '.join(map(str, paths))}")


def _check_bases(bases: Sequence[Path]) -> None:
    weights: dict[bytes, Path] = {}
    for base in bases:
        file = base / "model.safetensors"
        if not file.is_file():
            raise UserError(f"{base} holds no backbone", hint="`recombine phantom build-base DIR` makes one")
        same = weights.setdefault(file.read_bytes(), base)
        if same is not base:
            raise UserError(f"{same} and {base} are the same backbone", hint="bases of different seeds are compared")


def _default_bases(folder: Path, num_workers: int) -> list[Path]:
    """The shipped base and two of other seeds, built where they are missing."""
    from trainers.backbone_spec import PHANTOM_DIR

    shipped = json.loads((PHANTOM_DIR / "build.json").read_text(encoding="utf-8"))["seed"]
    built = {seed: folder / f"seed-{seed}" for seed in range(3) if seed != shipped}
    missing = {seed: path for seed, path in built.items() if not (path / "build.json").is_file()}
    if missing:
        print_line(f"building {len(missing)} more bases in {folder}, about 10 minutes each on an idle core")
        spawn = multiprocessing.get_context("spawn")  # torch does not survive a fork
        with ProcessPoolExecutor(min(num_workers, len(missing)), mp_context=spawn) as pool:
            list(pool.map(_build_quietly, missing.values(), missing))
    return [PHANTOM_DIR, *built.values()]


def _build_quietly(path: Path, seed: int) -> None:
    from trainers.phantom.build_base import build_base

    build_base(path, seed=seed)
