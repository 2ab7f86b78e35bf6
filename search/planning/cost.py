"""What a study will do and cost, before anything is launched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.designs.rows import DesignRow
from search.evidence.confirmation.racing import FIRST_LOOK
from search.ledger.records import Record, finished_of
from search.planning.facts import PlanFacts
from search.strategies.opening import results_to_begin
from search.strategies.registry import WITH_MODEL
from search.study.sections.design import DesignSection
from search.study.sections.execution import ExecutionSection
from search.study.spec import StudySpec
from search.study.study import Study
from trainers.backbone_spec import PHANTOM

# Assumptions where this study has measured nothing yet (docs/benchmarks.md): start-up of a nested trial on two idle
# cores, and the phantom backbone's training time for a step of 32 samples on one core.
ASSUMED_STARTUP_S = {"nested": 30.0, "pooled": 1.0}
ASSUMED_POOL_START_S = 60.0  # slots, Tune and encoding, once a study
ASSUMED_STEP_S = {PHANTOM: 0.1}
ASSUMED_STEP_OTHER_S = 1.0  # a 2-3B model, LoRA, batch 32, one data-centre GPU: order of magnitude only
ASSUMED_TRIAL_MIB = {PHANTOM: 0.5}
ASSUMED_TRIAL_OTHER_MIB = 60.0  # LoRA rank 8 on a 2-3B language model, plus outcomes
SPREAD = 2.0  # an assumption is given as a range of a factor of two either way


@dataclass(frozen=True, kw_only=True, slots=True)
class PhaseCost:
    """Number of trials of a phase."""

    phase: str
    num_trials: int
    num_samples: int
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyPlan:
    """A study before it runs."""

    phases: tuple[PhaseCost, ...]
    num_compositions: int
    startup_s: float
    step_s: float
    is_measured: bool
    wall_s: tuple[float, float]
    gpu_s: tuple[float, float]
    cost: tuple[float, float]
    disk_mib: float
    assumptions: tuple[str, ...]

    @property
    def num_trials(self) -> int:
        """All trials."""
        return sum(phase.num_trials for phase in self.phases)


def compute_plan(study: Study, facts: PlanFacts) -> StudyPlan:
    """Count trials, samples, time and disk; use what this study has measured, else stated assumptions.

    Args:
        study: the study.
        facts: what is known of it.
    """
    phases = tuple(_phases(study, facts))
    measured = _measured(facts.trials)
    executor, why = study.spec.execution.chosen_executor
    backbone = study.spec.backbone.model
    startup_s, step_s = measured or (
        ASSUMED_STARTUP_S[executor],
        ASSUMED_STEP_S.get(backbone, ASSUMED_STEP_OTHER_S),
    )
    execution, recipe = study.spec.execution, study.spec.recipe
    num_trials = sum(phase.num_trials for phase in phases)
    price_per_h = sum(execution.slot_prices_per_h)
    trial_s = startup_s + step_s * recipe.num_steps
    wall_s = num_trials * trial_s / execution.num_slots
    wall_s += ASSUMED_POOL_START_S if executor == "pooled" else 0.0
    low, high = (1.0, 1.3) if measured else (1 / SPREAD, SPREAD)
    gpu_s = num_trials * trial_s * execution.gpus_of()
    source = "measured in this study" if measured else "assumed; after the first trials `plan` uses measured figures"
    assumptions = (
        f"start-up {startup_s:.1f} s a trial, {step_s:.3f} s a step ({source})",
        f"{execution.num_slots} trials at a time, {_slots_text(execution)}",
        f"executor: {executor} ({why})",
        "no trial fails, none is reused, none is stopped early"
        + (", and the search makes all its trials" if may_end_early(study.spec) else ""),
        *([search_course(study.spec)] if study.spec.strategy.name == "recombine" and not study.spec.design else []),
        *(
            [f"{study.spec.strategy.num_merges} merges are scored without training; their time is not counted"]
            if study.spec.strategy.num_merges
            else []
        ),
    )
    return StudyPlan(
        phases=phases,
        num_compositions=study.spec.space.composition.count(),
        startup_s=startup_s,
        step_s=step_s,
        is_measured=measured is not None,
        wall_s=(wall_s * low, wall_s * high),
        gpu_s=(gpu_s * low, gpu_s * high),
        cost=(price_per_h * wall_s * low / 3600, price_per_h * wall_s * high / 3600),
        disk_mib=_num_kept(phases, execution.keep_adapters) * ASSUMED_TRIAL_MIB.get(backbone, ASSUMED_TRIAL_OTHER_MIB),
        assumptions=assumptions,
    )


def _slots_text(execution: ExecutionSection) -> str:
    cpus, gpus = execution.cpus_per_worker, execution.gpus_per_worker
    if not execution.slots:
        return f"each {execution.num_workers} worker(s) with {cpus:g} CPU and {gpus:g} GPU"
    return ", ".join(f"{s.count} with {s.cpus or cpus:g} CPU and {s.gpus or gpus:g} GPU" for s in execution.slots)


def _num_kept(phases: Sequence[PhaseCost], keep_adapters: int | str) -> int:
    """Trials whose adapters stay; outcomes alone are small."""
    return sum(
        min(phase.num_trials, int(keep_adapters))
        if phase.phase == "search" and keep_adapters != "all"
        else phase.num_trials
        for phase in phases
    )


def may_end_early(spec: StudySpec) -> bool:
    """Whether the search may end before its last trial."""
    limits = {**spec.search_limits, **({} if spec.strategy.name in WITH_MODEL else {"stop_when": None})}
    return any(limits.values())


def stop_when_line(spec: StudySpec) -> str | None:
    """What is said where `strategy.stop_when` is set and ends nothing."""
    if spec.strategy.stop_when is None or spec.strategy.name in WITH_MODEL or spec.design is not None:
        return None
    return (
        f"strategy.stop_when ends nothing here: the strategy {spec.strategy.name} has no model that says what the next "
        "trial promises"
    )


def search_course(spec: StudySpec) -> str:
    """How the default search divides its trials between its opening and its model, and how many would not cut it."""
    sources = spec.space.composition.available if spec.transfer.enabled else ()
    wanted, num_trials = results_to_begin(spec.space) - len(sources), spec.strategy.num_trials
    made = min(wanted, max(1, num_trials // 2))
    known = f"{len(sources)} sources alone are known to it; " if sources else ""
    text = f"search: {known}the opening takes {made} trials, expected improvement {num_trials - made}"
    enough = min(2 * wanted, spec.space.count() or 2 * wanted)
    if num_trials >= enough:
        return text
    return f"{text}; strategy.num_trials {enough} would leave the opening of {wanted} whole, with as many after it"


def _phases(study: Study, facts: PlanFacts) -> Sequence[PhaseCost]:
    spec = study.spec
    if spec.design is not None:
        return _design_phases(spec.design, facts.design_rows)
    space, confirm = spec.space.composition, spec.confirm
    proposals = min(spec.strategy.num_trials, spec.space.count() or spec.strategy.num_trials)
    repeated = f"; {spec.strategy.replicates} seeds each" if spec.strategy.replicates > 1 else ""
    phases = [PhaseCost(phase="baseline", num_trials=1, num_samples=0, note="no training")]
    num_targets = len(spec.eval_sets)
    if spec.transfer.enabled:
        seeds = len(spec.transfer.seeds)
        n = spec.single_num_samples
        phases.append(
            PhaseCost(
                phase="single sources", num_trials=len(space.available) * seeds, num_samples=n, note="matrix rows"
            )
        )
        sizes = {min(n, facts.counts.get(s, {}).get("train", n)) for s in space.available}  # as `run_transfer` has it
        note = "one a target" if len(sizes) == 1 else f"one a target for each of {len(sizes)} numbers of samples"
        phases.append(
            PhaseCost(phase="their controls", num_trials=num_targets * seeds * len(sizes), num_samples=n, note=note)
        )
        if sources := spec.transfer.repeated(space.available, spec.seed):
            num_trials = len(sources) * len(spec.transfer.further_seeds)
            note = f"further seeds of {', '.join(sources)}: the training noise of every cell"
            phases.append(PhaseCost(phase="matrix repeats", num_trials=num_trials, num_samples=n, note=note))
    phases.append(
        PhaseCost(
            phase="search",
            num_trials=proposals * spec.strategy.replicates,
            num_samples=space.budget,
            note=f"{spec.strategy.name}; at most that many samples{repeated}",
        )
    )
    if confirm.enabled:
        seeds = len(confirm.seeds)
        others = len([c for c in confirm.comparators if c != "control"])
        controls = num_targets if "control" in confirm.comparators else 0
        n = space.budget
        note = "fresh seeds; a race may need fewer" if confirm.racing and seeds > FIRST_LOOK else "fresh seeds"
        if confirm.further_seeds:
            note += f"; {len(confirm.further_seeds)} of them of the chosen one alone"
        num_trials = confirm.num_finalists * seeds + len(confirm.further_seeds)
        phases.append(PhaseCost(phase="finalists", num_trials=num_trials, num_samples=n, note=note))
        phases.append(
            PhaseCost(
                phase="comparators",
                num_trials=(others + controls) * seeds,
                num_samples=n,
                note="same samples, fresh seeds",
            )
        )
    return phases


def _design_phases(section: DesignSection, rows: Sequence[DesignRow]) -> list[PhaseCost]:
    trained = {(arm.composition, arm.num_steps) for row in rows for arm in row.arms if arm.composition}
    return [
        PhaseCost(phase="baseline", num_trials=1, num_samples=0, note="no training"),
        PhaseCost(
            phase="design",
            num_trials=len(trained) * len(section.seeds),
            num_samples=max(composition.total for composition, _ in trained),
            note=f"{section.kind}: {len(rows)} rows, {len(trained)} different arms, {len(section.seeds)} seeds",
        ),
    ]


def _measured(records: Sequence[Record]) -> tuple[float, float] | None:
    """Return median start-up and seconds a step of this study's finished trials."""
    trials = [record for record in finished_of(records) if record["num_steps"]]
    if not trials:
        return None
    startups = sorted(float(r["startup_s"]) for r in trials)
    steps = sorted(float(r["train_s"]) / r["num_steps"] for r in trials)
    return startups[len(startups) // 2], steps[len(steps) // 2]
