"""`recombine plan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from datasets_spec.catalog.divided_tests import divided_tests_line
from datasets_spec.catalog.keys import shared_elements
from datasets_spec.store.manifest import read_manifest
from search.cli.console import print_line, print_table
from search.planning.constraints import constraint_lines
from search.planning.cost import StudyPlan, compute_plan, stop_when_line
from search.planning.detectable import compute_detectable, detectable_lines, needed_rows, trials_line
from search.planning.facts import PlanFacts, read_facts
from search.planning.few_patients import few_patients_lines
from search.planning.gpu_slot import backbone_bytes, gpu_lines, look_at_rows
from search.planning.loaded_rows import rows_line
from search.planning.stages import compute_stages, stage_rows
from search.study.foreign_catalog import foreign_catalog_warning
from search.study.load_study import load_study
from search.study.own_keys import own_keys_line
from search.study.requirements import require_runnable
from search.study.run_dir import run_dir_of
from search.study.sections.execution import ExecutionSection
from search.study.source_rows import source_rows_lines, with_rows
from search.study.study import Study

if TYPE_CHECKING:
    from trainers.rows.sampled_sizes import SampledSizes


def show_plan(study_file: Path, overrides: Sequence[str], run_dir: Path | None, detect: float | None = None) -> None:
    """Print what a study will do and cost, and which differences it can see.

    Args:
        study_file: the study's YAML file.
        overrides: values that replace the file's.
        run_dir: of the study; the default one where none is given.
        detect: a difference in points for which to say what it takes.

    Raises:
        UserError: `recombine run` would refuse the study; in its words.
    """
    study = load_study(study_file, overrides)
    facts = read_facts(study, run_dir_of(study_file, study.spec, run_dir))
    if facts.counts:
        study = with_rows(study, lambda name, split: facts.counts.get(name, {}).get(split, 0))
    plan = compute_plan(study, facts)
    _print_space(study, plan)
    _print_rows(study, facts)
    _print_cost(study, facts, plan)
    _print_sight(study, facts, detect)
    # Last, so that the rows and trials that it is about stand above.
    require_runnable(study, lambda name, split: facts.counts[name].get(split, 0) if name in facts.counts else None)


def _print_space(study: Study, plan: StudyPlan) -> None:
    """Print what is searched, and what its sources have to do with the targets."""
    spec = study.spec
    number = f"{plan.num_compositions}{' or fewer' if spec.space.composition.needs_rows else ''}"
    print_line(f"study {spec.name}: {number} possible compositions, strategy {spec.strategy.name}")
    if (warning := foreign_catalog_warning(study)) is not None:
        print_line(f"WARNING: {warning}")
    print_table(
        f"What the sources share with the targets (task map {study.task_map.name})",
        ["source", *spec.eval_sets],
        relation_rows(study),
    )
    if (line := own_keys_line(study)) is not None:
        print_line(line)
    if (line := divided_tests_line(study.catalog, spec.eval_sets)) is not None:
        print_line(f"note: {line}")
    if (line := stop_when_line(spec)) is not None:
        print_line(f"note: {line}")
    for line in (*source_rows_lines(study), *constraint_lines(spec)):
        print_line(line)


def _print_rows(study: Study, facts: PlanFacts) -> None:
    if not facts.counts:
        print_line("rows: not known before `recombine data prepare`")
        return
    splits = ("train", "search", "confirm", "sealed")
    used = {*study.spec.space.composition.sources, *study.spec.control_sources, *study.spec.eval_sets}
    names = [name for name in study.catalog.names if name in used]
    print_table("Rows", ["subset", *splits], [_row_cells(n, facts.counts.get(n), splits) for n in names])
    print_line(rows_line(study, facts))


def _print_cost(study: Study, facts: PlanFacts, plan: StudyPlan) -> None:
    """Print trials, time, money, memory of GPUs and disk, and what all that assumes."""
    execution = study.spec.execution
    rows = [[p.phase, str(p.num_trials), str(p.num_samples), p.note] for p in plan.phases]
    print_table("Trials", ["phase", "trials", "samples each", "note"], [*rows, ["total", str(plan.num_trials), "", ""]])
    print_line(f"time: {_duration(plan.wall_s[0])} to {_duration(plan.wall_s[1])}" + _gpu(plan.gpu_s))
    if execution.prices:
        print_line(f"cost: {execution.cost_text(*plan.cost)} ({cost_note(execution)})")
    if execution.gpus_per_worker:
        sizes = look_at_rows(study, facts.design_arms)
        for line in gpu_lines(study, plan.step_s, sizes):
            print_line(line)
        _print_stages(study, facts, plan, sizes)
    print_line(f"disk: about {plan.disk_mib:.0f} MiB")
    for assumption in plan.assumptions:
        print_line(f"  assumes {assumption}")


def _print_sight(study: Study, facts: PlanFacts, detect: float | None) -> None:
    """Print which differences the study can see, and what it takes to see one of `detect` points."""
    differences = compute_detectable(study, facts)
    for line in detectable_lines(differences):
        print_line(line)
    for line in few_patients_lines(study):
        print_line(f"note: {line}")
    if detect is not None:
        columns = ["questions a target", "seeds an arm needed"]
        print_table(f"To see {detect:g} points", columns, needed_rows(differences, detect / 100))
        print_line(trials_line(differences, detect / 100))


def _print_stages(study: Study, facts: PlanFacts, plan: StudyPlan, sizes: SampledSizes | None) -> None:
    """Print what each stage moves, once the data are prepared."""
    manifest = read_manifest(study.store_dir)
    if manifest is None:
        return
    stages = compute_stages(study, facts, plan, manifest, sizes, backbone_bytes(study))
    print_table("Stages", ["stage", "bytes", "time", "bound by"], stage_rows(stages))


def _row_cells(name: str, counts: Mapping[str, int] | None, splits: Sequence[str]) -> list[str]:
    # A subset that the catalog has gained since the data were prepared is not in the store yet.
    return [name, *("?" if counts is None else str(counts.get(split, 0)) for split in splits)]


def cost_note(execution: ExecutionSection) -> str:
    """What a plan's cost is made of."""
    per_h = execution.cost_text(sum(execution.slot_prices_per_h))
    return f"all {execution.num_slots} slots for the time above, {per_h} an hour; without the head and idle nodes"


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _gpu(gpu_s: tuple[float, float]) -> str:
    return f"; {gpu_s[0] / 3600:.1f} to {gpu_s[1] / 3600:.1f} GPU-hours" if gpu_s[1] else "; no GPU"


def relation_rows(study: Study) -> list[list[str]]:
    """Return one row a source: its name and what it shares with every target."""
    rows = []
    for source in study.spec.space.composition.available:
        key = study.catalog.subset(source).key
        cells = []
        for target in study.spec.eval_sets:
            if study.exposures.has_same_key(source, target):
                cells.append("same key (in domain)")
            else:
                cells.append("+".join(shared_elements(key, study.catalog.subset(target).key, study.task_map)) or "-")
        rows.append([source, *cells])
    return rows
