"""What each stage of a study on GPUs moves, how long it takes and what bounds it: from the manifest, before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from datasets_spec.store.manifest import StoreManifest
from search.planning.cost import StudyPlan
from search.planning.facts import PlanFacts
from search.study.needed_rows import image_bytes, needed_rows
from search.study.study import Study

if TYPE_CHECKING:
    from trainers.rows.sampled_sizes import SampledSizes

# Measured on two cores (docs/benchmarks.md), where nothing is known of this machine.
ASSUMED_OPEN_S = 0.0036  # to open an image of 512 x 512, decode it and store it: preparing, both cores
ASSUMED_SAMPLE_S = 0.044  # of one core to decode a JPEG of a megapixel and to process it for Qwen2-VL
ASSUMED_READ_BYTES_S = 5e8  # of a disk or a network's file system: a tenth of a good local one
FORWARD_SHARE = 1 / 3  # of a step's time: a backward pass takes twice a forward pass (arXiv 2001.08361, section 2.1)
OUTCOME_BYTES = 100  # of a question, as Parquet holds its outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage of a study.

    Attributes:
        name: what is done.
        num_bytes: that it reads or writes.
        seconds: of all slots side by side.
        bound: what decides how long it takes.
    """

    name: str
    num_bytes: float
    seconds: float
    bound: str


def compute_stages(
    study: Study,
    facts: PlanFacts,
    plan: StudyPlan,
    manifest: StoreManifest,
    sizes: SampledSizes | None,
    weight_bytes: float,
) -> list[Stage]:
    """Return the stages in their order.

    Args:
        study: the study; its data are prepared.
        facts: what is known of it.
        plan: its trials and times.
        manifest: of its store.
        sizes: of its samples; None where its backbone's processor cannot be loaded here.
        weight_bytes: of the backbone.
    """
    spec, execution = study.spec, study.spec.execution
    slots, threads = execution.num_slots, execution.num_threads * max(1, execution.num_workers)
    sample_s = (sizes.prepare_s if sizes else ASSUMED_SAMPLE_S) / threads
    kept = sum(counts.kept for counts in manifest.subsets.values())
    packs = sum(pack.num_bytes for pack in manifest.packs or ())
    parts = sum(part.num_bytes for counts in manifest.subsets.values() for p in counts.files.values() for part in p)
    row_bytes = parts / max(1, kept) + image_bytes(manifest, 1)
    trained = sum(phase.num_trials for phase in plan.phases if phase.num_samples) * spec.recipe.num_steps
    asked, needed = _questions(study, facts, plan), row_bytes * _needed(study, facts)
    step_s, batch_size = plan.step_s, spec.recipe.batch_size
    disk_bytes = plan.disk_mib * 2**20 + asked * OUTCOME_BYTES

    def worked(name: str, number: int, samples: int, model_s: float) -> Stage:
        """Samples are prepared while the model works on those before them: the slower of both decides."""
        is_fed = model_s >= samples * sample_s
        bound = "the GPU" if is_fed else f"{threads} thread(s) that decode and process"
        seconds = number / slots * max(model_s, samples * sample_s)
        return Stage(name=name, num_bytes=number * samples * row_bytes, seconds=seconds, bound=bound)

    def read(name: str, num_bytes: float) -> Stage:
        return Stage(name=name, num_bytes=num_bytes, seconds=num_bytes / ASSUMED_READ_BYTES_S, bound="the disk")

    prepare_s = kept * ASSUMED_OPEN_S
    return [
        Stage(name="prepare the data, once", num_bytes=packs + parts, seconds=prepare_s, bound="decoding on 2 cores"),
        read("read what trials may read, once a node", needed),
        read("load the backbone, in every slot", weight_bytes * slots),
        worked(f"train {trained:,} steps of {batch_size}", trained, batch_size, step_s),
        worked(f"answer {asked:,} questions", asked, 1, FORWARD_SHARE * step_s / batch_size),
        read("keep adapters and outcomes", disk_bytes),
    ]


def stage_rows(stages: Iterable[Stage]) -> list[list[str]]:
    """Return one row of a table for each stage."""
    return [[stage.name, _amount(stage.num_bytes), _time(stage.seconds), stage.bound] for stage in stages]


def _needed(study: Study, facts: PlanFacts) -> int:
    def count(name: str, split: str) -> int:
        return facts.counts.get(name, {}).get(split, 0)

    return sum(needed_rows(study.spec, count, facts.design_arms).values())


def _questions(study: Study, facts: PlanFacts, plan: StudyPlan) -> int:
    """Questions that all trials are asked: of `search`, and in the confirmation of `confirm`."""

    def number(split: str) -> int:
        return sum(facts.counts.get(name, {}).get(split, 0) for name in study.spec.sets_on(split))

    confirmed = ("finalists", "comparators")
    return sum(phase.num_trials * number("confirm" if phase.phase in confirmed else "search") for phase in plan.phases)


def _amount(num_bytes: float) -> str:
    return f"{num_bytes / 2**30:,.1f} GiB" if num_bytes >= 2**30 else f"{num_bytes / 2**20:,.0f} MiB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
