"""The study file: what is searched, for which targets, with what budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from search.seeds import derived_rng
from search.space.candidate import SearchSpace
from search.study.score import ScoreSection
from search.study.sections.confirm import ConfirmSection
from search.study.sections.constraints import ConstraintsSection
from search.study.sections.design import DesignSection
from search.study.sections.execution import ExecutionSection
from trainers.backbone_spec import BackboneSpec
from trainers.recipe import Recipe

ObjectiveName = Literal["cg", "multi_image", "pareto"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StrategySection(_Section):
    """Which strategy proposes trials, and how many."""

    name: str = Field(
        default="random", description="recombine | random | optuna-tpe | greedy | metadata | static | exhaustive"
    )
    num_trials: PositiveInt = Field(default=12, description="fine-tunes of the search; `exhaustive` may need fewer")
    replicates: PositiveInt = Field(
        default=1,
        description="seeds that each of them is trained with; the strategy sees the mean, and nothing else is repeated",
    )
    stop_when: PositiveFloat | None = Field(
        default=None,
        description="points of accuracy: the search ends when the next trial is expected to gain less; strategies "
        "with a model only",
    )
    num_merges: int = Field(
        default=0,
        ge=0,
        description="merges of single-source adapters that are scored before the search, without training",
    )


class TransferSection(_Section):
    """The single-source transfer matrix: every source alone, scored on every target."""

    enabled: bool = True
    num_samples: PositiveInt | None = Field(
        default=None, description="samples of a single source; default: the largest of space.composition.num_samples"
    )
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    repeats: int = Field(
        default=2,
        ge=0,
        description="sources, drawn by the study's seed, that are also trained with `repeat_seeds` where `seeds` is a "
        "single one: how much training noise is in every cell; with 0 no cell claims anything",
    )
    # Six degrees of freedom with two sources: the 97.5 % point of Student's t is then 2.4, with four it is 2.8.
    repeat_seeds: tuple[int, ...] = Field(default=(11, 12, 13), min_length=1)

    @property
    def further_seeds(self) -> tuple[int, ...]:
        """Seeds of the repeated sources besides `seeds`; none where every source has several anyway."""
        return () if len(set(self.seeds)) > 1 else tuple(s for s in self.repeat_seeds if s not in self.seeds)

    def repeated(self, sources: Sequence[str], seed: int) -> tuple[str, ...]:
        """The sources that are repeated, sorted: a random sample, so that the others' noise is of their kind.

        Args:
            sources: of the matrix.
            seed: of the study.
        """
        drawn = derived_rng(seed, "transfer.repeats").sample(sorted(sources), min(self.repeats, len(sources)))
        return tuple(sorted(drawn)) if self.further_seeds else ()


class EarlyStoppingSection(_Section):
    """Stops trials of the search that are behind (asynchronous successive halving); the executor must be pooled."""

    enabled: bool = False
    rungs: tuple[float, ...] = Field(
        default=(0.25, 0.5), min_length=1, description="shares of a trial's steps at which it is compared"
    )
    keep: float = Field(default=1 / 3, gt=0, lt=1, description="share of the trials at a rung that is worth going on")
    reference: Literal["last", "mean"] = Field(
        default="last",
        description="what a trial is compared with: the last one worth going on, or the mean of all that are, which "
        "stops more",
    )
    confidence: float = Field(
        default=0.9,
        ge=0.5,
        lt=1,
        description="a trial is stopped only when it is worse than its reference with so much confidence "
        "(paired over questions, one-sided); 0.5 compares plain scores",
    )
    min_trials: PositiveInt = Field(default=4, description="trials at a rung before any is stopped")

    @model_validator(mode="after")
    def _rungs_rise(self) -> Self:
        if any(not 0 < rung < 1 for rung in self.rungs) or list(self.rungs) != sorted(set(self.rungs)):
            raise ValueError(f"rungs are rising shares between 0 and 1, not {list(self.rungs)}")
        return self


class StudySpec(_Section):
    """One study: catalog, targets, space, strategy and budget, from one YAML file.

    `targets` are single-image questions, `abilities` multi-image questions; both are names of subsets of the catalog
    whose `search`, `confirm` and `sealed` rows are scored.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    catalog: str = Field(description="catalog file, relative to this file, or the name of a shipped catalog")
    store: str = Field(
        default="store", description="folder of the prepared data, relative to this file; or s3://BUCKET/KEY"
    )
    task_map: str | None = Field(default=None, description="overrides the catalog's task map")
    backbone: BackboneSpec = BackboneSpec()
    targets: tuple[str, ...] = Field(min_length=1)
    abilities: tuple[str, ...] = ()
    few_shot: dict[str, PositiveInt] = Field(
        default_factory=dict, description="targets of which this many train rows may be trained on"
    )
    control_sources: tuple[str, ...] = Field(default=(), description="subsets used only to build matched controls")
    retained: tuple[str, ...] = Field(
        default=(), description="subsets whose questions the backbone answers well already; a loss on them is told"
    )
    strata: str | None = Field(
        default=None, description="CSV with `sample_id` and columns such as site or scanner: accuracy by each"
    )
    objective: ObjectiveName = "cg"
    score: ScoreSection = ScoreSection()
    space: SearchSpace
    recipe: Recipe = Recipe()
    strategy: StrategySection = StrategySection()
    transfer: TransferSection = TransferSection()
    confirm: ConfirmSection = ConfirmSection()
    constraints: ConstraintsSection | None = Field(
        default=None, description="what a selection must keep, whatever it gains"
    )
    execution: ExecutionSection = ExecutionSection()
    early_stopping: EarlyStoppingSection = EarlyStoppingSection()
    reuse: tuple[str, ...] = Field(
        default=(),
        description="run folders of other studies, relative to this file: equal trials are taken from there, and known",
    )
    design: DesignSection | None = Field(
        default=None, description="a fixed experiment instead of a search (docs/designs.md)"
    )
    tracking: Literal["mlflow"] | None = Field(
        default=None, description="also log trials to MLflow, where MLFLOW_TRACKING_URI says (extra `mlflow`)"
    )
    quarantine_limit: float = Field(default=0.05, ge=0, le=1, description="share of unusable rows of a subset")
    budget_gpu_hours: PositiveFloat | None = Field(
        default=None, description="GPU-hours of all trials; the search ends in time to confirm what it found"
    )
    budget_wall_h: PositiveFloat | None = Field(
        default=None, description="hours on the clock, over all runs of the study; the search ends in time to confirm"
    )
    seed: int = Field(default=0, ge=0)
    deterministic: bool = Field(
        default=False, description="same study, same seed: the same proposals and the same tables"
    )

    @property
    def eval_sets(self) -> tuple[str, ...]:
        """Targets, then abilities."""
        return (*self.targets, *self.abilities)

    @property
    def kept_sets(self) -> tuple[str, ...]:
        """Evaluation sets on which only so much may be lost; none where the study does not ask for that."""
        is_asked = self.constraints is not None and self.constraints.most_lost is not None
        return (*self.abilities, *self.retained) if is_asked else ()

    def sets_on(self, split: str) -> tuple[str, ...]:
        """Evaluation sets that are scored on a split: what must not be lost only where that is looked at."""
        is_looked_at = split == "confirm" or (split == "search" and self.kept_sets)
        return (*self.eval_sets, *self.retained) if is_looked_at else self.eval_sets

    @property
    def objectives(self) -> tuple[tuple[str, ...], ...]:
        """For every value of the objective, the evaluation sets whose mean it is."""
        return objectives_of(self.objective, self.targets, self.abilities)

    @property
    def objective_sets(self) -> tuple[str, ...]:
        """The evaluation sets that the objective is made of."""
        return tuple(name for names in self.objectives for name in names)

    @property
    def declared_shots(self) -> dict[str, int]:
        """Own samples of each target that are called few-shot: the study's, and those that its design declares."""
        if self.design is None or self.design.kind not in ("few_shot", "data_efficiency"):
            return dict(self.few_shot)
        return {name: max(*self.design.shots, self.few_shot.get(name, 0), 0) for name in self.eval_sets}

    @property
    def num_objectives(self) -> int:
        """How many values a trial has for the strategy."""
        return len(self.objectives)

    @property
    def search_seeds(self) -> tuple[int, ...]:
        """The seeds that every proposal of the search is trained with."""
        return tuple(range(self.seed, self.seed + self.strategy.replicates))

    @property
    def search_limits(self) -> dict[str, float | None]:
        """What may end the search before its last trial."""
        return {
            "stop_when": self.strategy.stop_when,
            "budget_gpu_hours": self.budget_gpu_hours,
            "budget_wall_h": self.budget_wall_h,
        }

    @property
    def single_num_samples(self) -> int:
        """Samples of a single source in the transfer matrix; one with fewer gives what it has."""
        return self.transfer.num_samples or max(self.space.composition.steps)

    @property
    def widest_recipe(self) -> Recipe:
        """A recipe that has dropout, or a trained projector, where any trial of this study may have it."""
        searched = self.space.recipe.dimensions
        rates, modules = searched.get("lora_dropout"), searched.get("lora_modules")
        wider: dict[str, object] = {}
        if rates is not None:
            wider["lora_dropout"] = 0.0 if rates.options() == (0,) else 0.5
        if modules is not None and (options := modules.options()):
            wider["lora_modules"] = sorted(map(str, options), key=lambda name: "projector" in name)[-1]
        return self.recipe_of(wider)

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Samples a step that trials may have."""
        searched = self.space.recipe.dimensions.get("batch_size")
        listed = None if searched is None else searched.options()
        return (self.recipe.batch_size,) if listed is None else tuple(int(value) for value in listed)

    def recipe_of(self, searched: dict[str, object]) -> Recipe:
        """Return the study's recipe with the searched values in place."""
        return Recipe.model_validate({**self.recipe.model_dump(), **searched})

    @model_validator(mode="after")
    def _consistent_sets(self) -> Self:
        if self.objective in ("multi_image", "pareto") and not self.abilities:
            raise ValueError(f"objective '{self.objective}' needs at least one entry in `abilities`")
        if self.constraints is not None and self.constraints.most_lost is not None and not self.kept_sets:
            raise ValueError("constraints.most_lost is about abilities and retained sets, and the study has neither")
        if both := sorted(set(self.retained) & set(self.eval_sets)):
            raise ValueError(f"{both} stand in retained and are targets or abilities already")
        twice = sorted(set(self.targets) & set(self.abilities))
        if twice:
            raise ValueError(f"{twice} stand both in targets and in abilities")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        unknown = sorted(set(self.space.recipe.dimensions) - set(Recipe.model_fields))
        if unknown:
            raise ValueError(
                f"space.recipe searches {unknown}, which a recipe does not have: {sorted(Recipe.model_fields)}"
            )
        if self.design is not None and self.design.num_samples is None and not self.space.composition.grid:
            raise ValueError("a design needs a number of samples: set design.num_samples, for `all` is none")
        if self.strategy.num_merges and not self.transfer.enabled:
            raise ValueError("strategy.num_merges merges the single sources' adapters: set transfer.enabled to true")
        used = sorted(set(self.search_seeds) & set(self.confirm.fresh_seeds))
        if self.confirm.enabled and used:
            field = "seeds" if used[0] in self.confirm.seeds else "further_seeds"
            raise ValueError(f"confirm.{field} must be fresh, but {used[0]} is the search's own seed")
        is_pooled = self.execution.chosen_executor[0] == "pooled"
        if self.early_stopping.enabled and not is_pooled:
            raise ValueError(
                "early_stopping needs slots: set execution.executor to pooled and execution.num_workers to 1, or "
                "early_stopping.enabled to false"
            )
        if uneven := [size for size in self.batch_sizes if size % max(1, self.execution.num_workers)]:
            raise ValueError(
                f"a batch of {uneven[0]} samples cannot be shared evenly by {self.execution.num_workers} workers: set "
                "recipe.batch_size to a multiple of execution.num_workers"
            )
        if self.budget_gpu_hours is not None and not self.execution.gpus_per_worker:
            raise ValueError("budget_gpu_hours counts GPUs: set execution.gpus_per_worker, or use budget_wall_h")
        if self.deterministic and (self.budget_gpu_hours or self.budget_wall_h):
            raise ValueError("a budget ends the search by the clock: set deterministic to false, or leave it out")
        return self


def objectives_of(objective: str, targets: tuple[str, ...], abilities: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """For every value of an objective, the evaluation sets whose mean it is."""
    return {"cg": (targets,), "multi_image": (abilities,), "pareto": (targets, abilities)}[objective]
