"""From a candidate to the trial that is run: identities, exposures, arms and matched controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from datasets_spec.store.answer_kinds import has_words
from datasets_spec.store.store import Store
from search.ledger.records import BASELINE_ARM
from search.space.composition import Composition, share_out
from search.study.study import Study
from search.vocabulary import Stage
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe
from trainers.trial.spec import EvalRequest, TrialSpec, rows_digest

GENERATED_SPLITS = ("confirm", "sealed")  # letters are also generated where published figures are compared


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedTrial:
    """A trial with its place in the study."""

    spec: TrialSpec
    stage: Stage
    arm: str
    strategy: str = ""
    proposal_index: int | None = None
    reason: str = ""
    searched: Mapping[str, object] = field(default_factory=dict)  # the searched part of the recipe


class TrialFactory:
    """Builds trials of one study over one store.

    Args:
        study: the study.
        store: the open store.
        backbone: with device and number format resolved.
        backbone_fingerprint: identity of its weights.
        micro_batch_size: of recipes that name none; None leaves them a whole batch.
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        backbone: BackboneSpec,
        backbone_fingerprint: str,
        micro_batch_size: int | None = None,
    ) -> None:
        self._micro_batch_size = micro_batch_size
        self._study = study
        self._store = store
        self._backbone = backbone
        self._fingerprint = backbone_fingerprint
        self._exposures = study.exposures
        self._has_words = cache(partial(has_words, store))

    def within(self, backbone: BackboneSpec, *, micro_batch_size: int | None) -> TrialFactory:
        """Return the factory of the same trials, that go through a GPU in other parts."""
        return TrialFactory(self._study, self._store, backbone, self._fingerprint, micro_batch_size)

    def spec(
        self,
        composition: Composition,
        recipe: Recipe,
        seed: int,
        splits: Sequence[str],
        *,
        rungs: tuple[int, ...] = (),
        eval_sets: Sequence[str] | None = None,
    ) -> TrialSpec:
        """Return the trial that trains on `composition` and scores evaluation sets (by default all) on `splits`."""
        hashes = [h for subset, count in composition.items() for h in self._store.row_hashes(subset, "train", count)]
        execution = self._study.spec.execution
        if recipe.micro_batch_size is None and self._micro_batch_size is not None:
            recipe = recipe.model_copy(update={"micro_batch_size": min(self._micro_batch_size, recipe.batch_size)})
        return TrialSpec(
            backbone=self._backbone,
            backbone_fingerprint=self._fingerprint,
            composition=composition.as_dict(),
            rows_digest=rows_digest(hashes),
            recipe=recipe,
            seed=seed,
            evaluations=tuple(
                self.request(composition, eval_set, split)
                for split in splits
                for eval_set in (self._study.spec.sets_on(split) if eval_sets is None else eval_sets)
                if self._store.count(eval_set, split)
            ),
            eval_batch_size=execution.eval_batch_size,
            timeout_s=execution.trial_timeout_s,
            deterministic=self._study.spec.deterministic,
            rungs=rungs,
        )

    def request(self, composition: Composition, eval_set: str, split: str) -> EvalRequest:
        """Return the request to score one evaluation set's split."""
        return EvalRequest(
            eval_set=eval_set,
            split=split,
            fingerprint=self._store.partition_fingerprint(eval_set, split),
            exposure=self._exposures.of(composition, eval_set).value,
            generate=split in GENERATED_SPLITS,
            has_words=self._has_words(eval_set, split),
        )

    def baseline(self) -> PlannedTrial:
        """Return the untrained backbone, scored once and reused."""
        recipe = self._study.spec.recipe.model_copy(update={"num_steps": 0})
        spec = self.spec(Composition({}), recipe, 0, ("search", "confirm"))
        return PlannedTrial(
            spec=spec, stage=Stage.baseline, arm=BASELINE_ARM, reason="the backbone before any training"
        )

    def control(self, eval_set: str, num_samples: int) -> Composition | None:
        """Return the matched control's composition: `num_samples` from subsets that share nothing with the target.

        The samples are shared out as evenly as the subsets' rows allow. None when there are no unrelated subsets;
        fewer samples when they do not have enough rows (the caller says so).
        """
        spec = self._study.spec
        pool = [*spec.space.composition.available, *spec.control_sources]
        rows = {s: self._store.count(s, "train") for s in self._exposures.unrelated(pool, eval_set)}
        return share_out(rows, num_samples) if rows else None
