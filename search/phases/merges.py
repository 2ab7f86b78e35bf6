"""Scores of merged single-source adapters: what a composition may be worth, without training it.

The merge weighs every source's adapter by its share of the composition's samples. It is scored on `search` like a
trial, and recorded as a proxy: it never counts as a trial, and nothing is selected or reported by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any

from datasets_spec.errors import UserError
from search.engine.study_run import StudyRun
from search.engine.trial_factory import PlannedTrial
from search.ledger.records import MERGE_ARM, Kind, finished_of, of_kind
from search.seeds import derived_rng
from search.space.composition import Composition
from search.space.composition_space import CompositionSpace
from search.statistics.ties import descending
from search.strategies.interface import Proxy
from search.study.run_dir import RunFile
from search.study.score import ScoreSection, score_of
from search.vocabulary import COUNTED, Stage, Status

# Half of the merges are those that the single sources promise most of, the other half a random sample: a proxy that is
# known only where it is high cannot be judged by the model.
PROMISING_SHARE = 0.5
# In spaces too large to list, the promising ones are the best of so many draws a merge.
DRAWS_A_MERGE = 20

Shares = tuple[tuple[str, Fraction], ...]


def run_merges(run: StudyRun) -> None:
    """Merge and score as many compositions as the study asks for; the single sources must have ended.

    Adapters without an exact merge (a recipe with something other than plain LoRA) end this with a decision, not the
    study: the search goes on without a proxy.
    """
    from trainers.trial.folder import finished_result, remove_adapter
    from trainers.trial.merged import write_merge

    spec = run.spec
    singles = single_trials(run.records())
    worth = {source: _mean_score(record, spec.objective_sets, spec.score) for source, record in singles.items()}
    chosen = choose_merges(
        spec.space.composition,
        {source: score for source, score in worth.items() if score is not None},
        spec.strategy.num_merges,
        seed=spec.seed,
    )
    planned = [_planned(run, composition, singles) for composition in chosen]
    try:
        for trial in planned:
            if not run.recorder.is_done(trial):
                shares = shares_of(Composition(trial.spec.composition))
                parts = {run.run_dir / singles[source]["trial_dir"]: float(share) for source, share in shares}
                write_merge(trial.spec, parts, run.run_dir / RunFile.trials)
    except UserError as error:
        run.decide(f"merges: none, {error.message}")
        return
    run.run_list(planned)
    if spec.execution.keep_adapters != "all":
        for trial in planned:
            folder = run.run_dir / RunFile.trials / trial.spec.folder_name
            if finished_result(folder, trial.spec.train_id) is not None:
                remove_adapter(folder)
    run.decide(f"merges: {len(planned)} scored on `search` as a proxy, from {len(singles)} single sources")


def choose_merges(
    space: CompositionSpace, worth: Mapping[str, float], num_merges: int, *, seed: int
) -> list[Composition]:
    """Which compositions of two or more sources are merged; those with equal shares count once.

    Args:
        space: of the study.
        worth: what each source alone reached; a source without a score is in no merge.
        num_merges: how many at most.
        seed: of the study.
    """
    rng = derived_rng(seed, "merges")
    listed: Iterable[Composition]
    if space.count() <= DRAWS_A_MERGE * num_merges:
        listed = space.enumerate()
    else:
        listed = (space.sample(rng) for _ in range(DRAWS_A_MERGE * num_merges))
    distinct: dict[Shares, Composition] = {}
    for composition in listed:
        if len(composition) > 1 and all(source in worth for source in composition):
            distinct.setdefault(shares_of(composition), composition)

    def promise(shares: Shares) -> float:
        return float(sum(share * Fraction(worth[source]) for source, share in shares))

    in_order = sorted(distinct)
    by_promise = [in_order[place] for place in descending([promise(shares) for shares in in_order])]
    promising = by_promise[: round(PROMISING_SHARE * num_merges)]
    rest = [shares for shares in by_promise if shares not in set(promising)]
    rng.shuffle(rest)
    return [distinct[shares] for shares in (*promising, *islice(rest, num_merges - len(promising)))]


def shares_of(composition: Composition) -> Shares:
    """Each source's share of the samples: what a merge is weighted by, and all that it depends on."""
    return tuple((source, Fraction(count, composition.total)) for source, count in composition.items())


def single_trials(records: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The first finished trial of every source alone: the adapters that are merged."""
    found: dict[str, Mapping[str, Any]] = {}
    for record in finished_of(records, Stage.single):
        found.setdefault(next(iter(record["composition"])), record)
    return dict(sorted(found.items()))


def proxy_of(records: Iterable[Mapping[str, Any]], score: ScoreSection | None = None) -> Proxy | None:
    """Scores of merges as strategies ask for them; None where nothing was merged.

    Args:
        records: of the ledger.
        score: what an answer counts for, as in the trials that the strategy sees.
    """
    scores = {
        shares_of(Composition(record["composition"])): {
            e["eval_set"]: score_of(e, score) for e in record["evaluations"] if e["exposure"] in COUNTED
        }
        for record in of_kind(records, Kind.proxy)
        if record["status"] == Status.finished
    }

    def proxy(composition: Composition) -> Mapping[str, float] | None:
        return scores.get(shares_of(composition))

    return proxy if scores else None


def _planned(run: StudyRun, composition: Composition, singles: Mapping[str, Mapping[str, Any]]) -> PlannedTrial:
    from trainers.trial.merged import merge_digest

    weights = {singles[source]["train_id"]: float(share) for source, share in shares_of(composition)}
    spec = run.factory.spec(composition, run.spec.recipe, run.spec.seed, ("search",))
    return PlannedTrial(
        spec=spec.model_copy(update={"rows_digest": merge_digest(weights)}),
        stage=Stage.merge,
        arm=MERGE_ARM,
        reason="the merge of its sources' adapters, without training",
    )


def _mean_score(record: Mapping[str, Any], eval_sets: Sequence[str], score: ScoreSection) -> float | None:
    """Mean accuracy on the sets that count for this source; a target's own key is in no mean."""
    scores = [
        score_of(e, score)
        for e in record["evaluations"]
        if e["eval_set"] in eval_sets and e["split"] == "search" and e["exposure"] in COUNTED
    ]
    return sum(scores) / len(scores) if scores else None
