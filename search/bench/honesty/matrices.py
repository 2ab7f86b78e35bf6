"""Whole transfer matrices in worlds of known truth: how many of the cells that are pointed out are false."""

from __future__ import annotations

from dataclasses import dataclass

from datasets_spec.catalog.keys import Key, load_task_map
from search.bench.honesty.world import Campaign, World
from search.evidence.matrix.transfer_matrix import compute_transfer
from search.evidence.outcomes import Outcomes
from search.ledger.records import control_arm, single_arm
from search.statistics.verdicts import Verdict
from search.study.spec import TransferSection
from search.vocabulary import Stage

# The demo's: eight sources and three evaluation sets of 130 questions.
NUM_SOURCES, NUM_TARGETS, NUM_QUESTIONS = 8, 3, 130
LEVEL = 0.6
# Signal: a third of the cells helps, by what lies between good and bad compositions of the phantom at the least.
EFFECT = 0.2
HELPED_EVERY = 3
# Training noise of the digits tables.
QUIET_SD = 0.028


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixResult:
    """What the cells of one matrix came to.

    Attributes:
        num_found: cells that are called better or worse.
        num_false: those of them where nothing is, or the other way round.
        num_helped: cells where something is.
        num_right: those of them that are found.
        num_covered: cells whose interval holds the truth.
        num_cells: all.
    """

    num_found: int
    num_false: int
    num_helped: int
    num_right: int
    num_covered: int
    num_cells: int

    @property
    def false_share(self) -> float:
        """Share of false cells among those found; 0 where none was."""
        return self.num_false / max(1, self.num_found)


def run_matrix(seed: int, *, seed_sd: float, has_signal: bool, is_uneven: bool = False) -> MatrixResult:
    """Train every source alone and the controls as a study's defaults have it, and judge the matrix.

    Args:
        seed: of everything that is drawn.
        seed_sd: training noise, the standard deviation between seeds as a share.
        has_signal: whether some sources help some targets; without, every source is worth its control.
        is_uneven: whether every second source has the `QUIET_SD` of a training that has settled instead.
    """
    targets = tuple(f"t{k}" for k in range(NUM_TARGETS))
    sources = tuple(f"s{k}" for k in range(NUM_SOURCES))
    effects = {
        (source, target): EFFECT if has_signal and (place + number) % HELPED_EVERY == 0 else 0.0
        for number, source in enumerate(sources)
        for place, target in enumerate(targets)
    }
    world = World(
        candidates={},
        comparators={},
        num_items={"search": NUM_QUESTIONS},
        targets=targets,
        seed_sd=seed_sd,
        own_seed_sd=dict.fromkeys(sources[::2], QUIET_SD) if is_uneven else {},
    )
    campaign = Campaign(world, seed)
    section = TransferSection()
    runs = [(source, s) for s in section.seeds for source in sources]
    runs += [(source, s) for s in section.further_seeds for source in section.repeated(sources, seed)]
    for source, s in runs:
        accuracy = {target: LEVEL + effects[source, target] for target in targets}
        campaign.run(Stage.single, single_arm(source), source, split="search", seed=s, accuracy=accuracy)
    for target in targets:
        for s in section.seeds:
            arm = control_arm(target)
            campaign.run(Stage.control, arm, f"control of {target}", split="search", seed=s, accuracy=LEVEL)
    return _judged(campaign, sources, targets, effects, seed)


def _judged(
    campaign: Campaign,
    sources: tuple[str, ...],
    targets: tuple[str, ...],
    effects: dict[tuple[str, str], float],
    seed: int,
) -> MatrixResult:
    keys = {name: Key(modality=name, area=name, task=name) for name in (*sources, *targets)}
    frame = compute_transfer(
        campaign.records, Outcomes(campaign.load), keys, load_task_map("identity"), targets, "search", seed=seed
    )
    found = right = covered = 0
    for row in frame.to_dict("records"):
        effect = effects[row["source"], row["target"]]
        found += row["verdict"] in (Verdict.better, Verdict.worse)
        right += effect > 0 and row["verdict"] == Verdict.better
        covered += bool(row["ci_low"] <= effect <= row["ci_high"])
    return MatrixResult(
        num_found=found,
        num_false=found - right,
        num_helped=sum(effect > 0 for effect in effects.values()),
        num_right=right,
        num_covered=covered,
        num_cells=len(frame),
    )
