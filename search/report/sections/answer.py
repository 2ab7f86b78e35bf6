"""The first thing on the page: the question, the selected composition, and how sure one can be of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from search.designs.table import DesignTable
from search.evidence.blind import no_image_shares
from search.evidence.finding.finding import read_finding
from search.report.run_files import RunRecords
from search.report.scores import compute_trial_heads, compute_trial_scores
from search.report.sections.design import compute_design_page
from search.report.sections.sealed_cautions import sealed_cautions
from search.report.wording import (
    NOT_KNOWN,
    amount,
    as_mapping,
    comparator_name,
    count,
    interval,
    key_text,
    number_text,
    p_value,
    percent,
    points,
)
from search.statistics.ties import index_of_largest
from search.study.sections.design import QUESTIONS, DesignKind
from search.vocabulary import Exposure, Stage, Status

State = Literal["sealed", "confirm", "search", "nothing", "design"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """An accuracy of the selected composition; `text` columns are ready to print."""

    eval_set: str
    key: str
    split: str
    accuracy: str
    interval: str
    n: str
    seeds: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparisonLine:
    """What a paired comparison says: `word` is the claim, `detail` what it rests on."""

    comparator: str
    eval_set: str
    split: str
    tone: Literal["better", "same", "worse"]
    word: str
    detail: str
    difference: str
    interval: str
    p_value: str
    n: str
    seeds: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The question of the study and what is known of its answer.

    Attributes:
        state: The split that the strongest evidence comes from; "nothing" before the first finished trial.
        parts: (subset, samples, key) of the composition, largest first.
        estimates: On `state`'s split, the mean over the targets first.
        verdicts: On `state`'s split and over all targets where that was compared, else for each target.
        all_verdicts: Every comparison there is.
        cautions: What keeps a reader from relying on the answer.
        luck: What the figures estimate, and what choosing the best of many has added to them.
        next_step: What to do now, with its number; "" before a selection.
        recommends: Whether the verdicts carry a recommendation to train on the composition.
    """

    question: str
    headline: str
    lead: str
    state: State
    parts: tuple[tuple[str, str, str], ...]
    total: str
    recipe: tuple[tuple[str, str], ...]
    estimates: tuple[Estimate, ...]
    verdicts: tuple[ComparisonLine, ...]
    all_verdicts: tuple[ComparisonLine, ...]
    overall: str
    cautions: tuple[str, ...]
    luck: tuple[str, ...] = ()
    next_step: str = ""
    recommends: bool = False


def compute_answer(records: RunRecords) -> Answer:
    """What the study found, from `selection.json`, or the best of the search when there is none yet.

    Args:
        records: A run's files.

    Returns:
        Text that is ready to print. Nothing is called better or worse here that the selection does not call so.
    """
    selection = records.selection
    if records.design is not None:
        return _design_answer(records, records.design)
    if selection is None:
        return _provisional_answer(records)
    estimates = selection.get("estimates") or {}
    state: State = "sealed" if estimates.get("sealed") else "confirm" if estimates.get("confirm") else "search"
    keys = records.run.get("subsets") or {}
    lines = tuple(_estimate(entry, state, keys) for entry in _mean_first(estimates.get(state) or ()))
    verdicts = tuple(_verdict(entry) for entry in selection.get("comparisons") or ())
    composition = as_mapping(selection.get("composition"))
    finding = read_finding(selection, {"confirm": no_image_shares(records.run.get("blind") or {})})
    return Answer(
        question=_question(records),
        headline=finding.headline,
        lead=_lead(lines, state, records),
        state=state,
        parts=_parts(composition, keys),
        total=count(sum(composition.values())),
        recipe=_recipe(selection.get("recipe")),
        estimates=lines,
        verdicts=_leading_verdicts(verdicts, state),
        all_verdicts=verdicts,
        # The comparisons themselves are the list above it.
        overall=str(selection.get("verdict") or "").removeprefix(finding.detail).strip(),
        cautions=(*finding.cautions, *_cautions(records, state)),
        luck=_luck(selection),
        next_step=finding.next_step,
        recommends=finding.recommends,
    )


def _luck(selection: Mapping[str, Any]) -> tuple[str, ...]:
    """What is estimated, and by how much the best of a search and of the finalists overstates itself."""
    sentences = [str(selection["estimand"])] if selection.get("estimand") else []
    optimism = selection.get("optimism") or {}
    search, confirm = optimism.get("search"), optimism.get("confirm")
    if search:
        without = "" if search.get("has_seed_noise") else ", training noise left out"
        sentences.append(
            f"Winner's curse: the best of {amount(search['num_trials'], 'trial')} scored {percent(search['observed'])} "
            f"in the search; by the spread of all of them about {points(search['optimism'], signed=False)} points "
            f"of that may be luck{without}."
        )
    if confirm and confirm["num_finalists"] > 1 and round(100 * confirm["optimism"], 1) > 0:
        sentences.append(
            f"On confirm, where it was chosen among {confirm['num_finalists']} finalists, "
            f"{percent(confirm['expected'])} is expected once the "
            f"{points(confirm['optimism'], signed=False)} points that choosing adds are taken off."
        )
    return tuple(sentences)


def _design_answer(records: RunRecords, table: DesignTable) -> Answer:
    """What a design found, in one line; a design selects nothing."""
    page = compute_design_page(table)
    question = QUESTIONS[cast(DesignKind, table.kind)]
    return Answer(
        question=question[0].upper() + question[1:],
        headline="" if page is None else page.headline,
        lead=" ".join(page.notes[:1]) if page is not None else "",
        state="design",
        parts=(),
        total="",
        recipe=(),
        estimates=(),
        verdicts=(),
        all_verdicts=(),
        overall="",
        cautions=_cautions(records, "design"),
    )


def _provisional_answer(records: RunRecords) -> Answer:
    """Before a selection: the best trial of the search, with the warning that it is the best of many."""
    scores = compute_trial_scores(records.trials, records.targets, "search")
    heads = compute_trial_heads(records.trials)
    searched = scores[heads.loc[scores.index, "stage"].isin(["search", "single"])]
    empty = searched.empty
    best = None if empty else searched.index[index_of_largest(searched["score"].to_numpy(dtype=float))]
    composition = {} if best is None else as_mapping(heads.loc[best, "composition"])
    keys = records.run.get("subsets") or {}
    if best is None:
        headline, lead = "No answer yet.", "No trial has been scored on all targets yet."
    else:
        headline = "No selection yet."
        lead = (
            f"The best of {amount(len(searched), 'scored trial')} so far has "
            f"{percent(searched['score'].max())} on the search questions (one seed, no interval)."
        )
    return Answer(
        question=_question(records),
        headline=headline,
        lead=lead,
        state="nothing" if empty else "search",
        parts=_parts(composition, keys),
        total=count(sum(composition.values())),
        recipe=() if best is None else _recipe(heads.loc[best, "recipe"]),
        estimates=(),
        verdicts=(),
        all_verdicts=(),
        overall="",
        cautions=(*_failed_confirmation(records), *_cautions(records, "nothing" if empty else "search")),
    )


def _failed_confirmation(records: RunRecords) -> tuple[str, ...]:
    trials = records.trials
    failed = trials[(trials["stage"] == Stage.confirm) & (trials["status"] != Status.finished)]["train_id"].nunique()
    if not failed:
        return ()
    return (
        f"No finalist has been scored on confirm: {amount(failed, 'trial')} of the confirmation failed. "
        "`recombine run` tries once more what failed, or ran out of memory or time.",
    )


def _question(records: RunRecords) -> str:
    names = records.targets
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    subject = "this target" if len(names) == 1 else "these targets"
    return f"For {subject} ({listed or 'not named yet'}): which of the datasets should be trained on, in what mix?"


def _lead(estimates: Sequence[Estimate], state: State, records: RunRecords) -> str:
    where = {
        "sealed": "sealed questions, which nothing was chosen on",
        "confirm": "confirm questions, on which the finalists were compared",
    }
    if not estimates or state not in where:
        return "It has no estimate on confirm or sealed questions yet."
    first = estimates[0]
    over = f"on average over {amount(len(records.targets), 'target')}" if first.eval_set == "mean" else first.eval_set
    return (
        f"{first.accuracy} correct {over} (95\u00a0% interval {first.interval}; n = {first.n}, {first.seeds}), "
        f"on {where[state]}."
    )


def _parts(composition: Mapping[str, Any], keys: Mapping[str, Any]) -> tuple[tuple[str, str, str], ...]:
    largest_first = sorted(composition.items(), key=lambda item: (-item[1], item[0]))
    return tuple((name, count(size), key_text(keys.get(name) or {})) for name, size in largest_first)


def _recipe(recipe: Any) -> tuple[tuple[str, str], ...]:
    return tuple((name, number_text(value)) for name, value in sorted(as_mapping(recipe).items()))


def _mean_first(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(entries, key=lambda entry: entry.get("eval_set") != "mean")


def _estimate(entry: Mapping[str, Any], split: str, keys: Mapping[str, Any]) -> Estimate:
    name = str(entry.get("eval_set"))
    seeds = entry.get("seeds")
    return Estimate(
        eval_set=name,
        key="" if name == "mean" else key_text(keys.get(name) or {}),
        split=split,
        accuracy=percent(entry.get("accuracy")),
        interval=interval(entry.get("ci_low"), entry.get("ci_high"), signed=False),
        n=count(entry.get("n")),
        seeds=amount(len(seeds) if isinstance(seeds, Sequence) else seeds, "seed"),
    )


def _verdict(entry: Mapping[str, Any]) -> ComparisonLine:
    word = str(entry.get("verdict"))
    difference, seen = entry.get("difference"), entry.get("minimum_detectable")
    # Only the interval that decides stands beside a verdict; that of the comparison alone is in selection.json.
    span = interval(entry.get("simultaneous_low"), entry.get("simultaneous_high"), signed=True)
    named = span if span == "no interval" else f"simultaneous 95\u00a0% interval {span}"
    tone: Literal["better", "same", "worse"]
    if word in ("better", "worse"):
        tone = "better" if word == "better" else "worse"
        claim = f"{word} by {points(difference, signed=False)} points"
        detail = named
    else:
        tone = "same"
        claim = "no difference detected"
        # The selection says why a comparison could not have seen anything: one seed shows no training noise.
        reach = str(entry.get("note") or f"could have seen {points(seen, signed=False)} points")
        detail = f"{reach}; measured {points(difference)}, {named}"
    return ComparisonLine(
        comparator=comparator_name(entry.get("comparator")),
        eval_set=str(entry.get("eval_set")),
        split=str(entry.get("split")),
        tone=tone,
        word=claim,
        detail=detail,
        difference=points(difference),
        interval=span,
        p_value=p_value(entry.get("p_adjusted")),
        n=count(entry.get("n")),
        seeds=" and ".join(count(number) for number in entry.get("seeds") or ()) or NOT_KNOWN,
    )


def _leading_verdicts(verdicts: Sequence[ComparisonLine], state: str) -> tuple[ComparisonLine, ...]:
    """The comparisons to read first: on the strongest split, and over all targets where there is a mean."""
    on_split = [verdict for verdict in verdicts if verdict.split == state] or list(verdicts)
    means = [verdict for verdict in on_split if verdict.eval_set == "mean"]
    return tuple(means or on_split)


def _cautions(records: RunRecords, state: State) -> tuple[str, ...]:
    cautions = []
    exposures = (records.selection or {}).get("exposures") or {}
    if seen := sorted(target for target, exposure in exposures.items() if exposure != Exposure.held_out):
        cautions.append(
            f"The selected mix has trained on own rows of {', '.join(seen)}: there its accuracy is not compositional "
            "generalisation."
        )
    if not records.run.get("finished_at"):
        cautions.append("The study has not finished: every figure below is of what is done so far.")
    if state == "search":
        cautions.append("The best of many noisy scores overstates what a new run would reach; confirm it first.")
    if state == "confirm":
        cautions.append("The sealed questions have not been opened: finalists were compared on these questions.")
    return (*cautions, *sealed_cautions(records.run))
