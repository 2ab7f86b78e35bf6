"""What to do next in each case, with its number: more questions, seeds or trials, other sources, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from search.evidence.finding.cases import UNTRAINED, FindingCase, FindingFacts
from search.evidence.finding.headline import shortened
from search.evidence.finding.points import points_text
from search.evidence.finding.prospects import WORTH_SEEING, Prospects

NO_NUMBERS = "How many more questions, seeds or trials it takes: `recombine report STUDY` works it out from the ledger."
OTHER_SOURCES = "Bring other sources: subsets that share a modality, an area or a task with the targets."


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    facts: FindingFacts
    prospects: Prospects


def next_step_of(case: FindingCase, facts: FindingFacts, prospects: Prospects | None) -> str:
    """What to do next.

    Args:
        case: that gives the headline.
        facts: that it was decided by.
        prospects: of the study; None says where to get the numbers.
    """
    if case is FindingCase.nothing_compared:
        return "Run the confirmation: `recombine run STUDY` goes on with finalists and new seeds of every comparator."
    if case is FindingCase.comparison_unfinished:
        return "Let the study end: `recombine run STUDY` goes on with what is to be compared."
    if prospects is None:
        return NO_NUMBERS
    return _STEPS[case](_Case(facts=facts, prospects=prospects))


def _after_nothing_told_apart(case: _Case) -> str:
    if not case.facts.is_one_seed and case.facts.detectable <= WORTH_SEEING:
        seen = points_text(case.facts.detectable, signed=False)
        return (
            f"There is nothing here to find by measuring longer: a difference of {seen} points would have been seen. "
            + _other_trials(case, case.facts.detectable)
        )
    if not case.prospects.has_spread and not case.facts.is_one_seed:
        return (
            f"There may be nothing here to find: the {case.prospects.num_trials} compositions of the search do not "
            f"differ beyond noise. {OTHER_SOURCES} {_see_more(case)}"
        )
    return _see_more(case)


def _see_more(case: _Case) -> str:
    now_seen = 0.0 if case.facts.is_one_seed else case.facts.detectable
    return _takes(case, case.prospects, f"{points_text(WORTH_SEEING, signed=False)} points", now_seen)


def _takes(case: _Case, prospects: Prospects, what: str, now_seen: float = 0.0) -> str:
    """The questions or the seeds that show a difference worth seeing, or both together where neither does."""
    is_one_seed = prospects.num_seeds < 2  # more questions cannot replace the second seed
    questions = None if is_one_seed else prospects.questions_to_see(now_seen=now_seen)
    seeds, both = prospects.seeds_to_see(now_seen=now_seen), prospects.both_to_see()
    if case.facts.few_clusters:
        seeds, who = None, ", each of another patient or image"  # a seed more asks the same few again
    else:
        who = ""
    ways = []
    if questions is not None:
        ways.append(f"{questions} questions a target{who} (now {prospects.num_questions})")
    if seeds is not None:
        ways.append(f"{seeds} seeds an arm (now {prospects.num_seeds})")
    if not ways and both is not None:
        now = f"(now {prospects.num_seeds} and {prospects.num_questions})"
        ways.append(f"{both[0]} seeds an arm and {both[1]} questions a target{who} {now}")
    if not ways:
        noise = f"{points_text(prospects.noise.shift_sd, signed=False)} points"
        return f"Training noise of {noise} a run hides {what} even from 20 seeds: first a recipe that varies less."
    return f"To see {what} four times in five takes {' or '.join(ways)}."


def _other_trials(case: _Case, more: float) -> str:
    """The trials of a search that is expected to find so much more, or other sources where none does."""
    number = case.prospects.trials_to_gain(more) if case.prospects.has_spread else None
    gain, now = points_text(more, signed=False), case.prospects.num_trials
    if number is None:
        return f"{OTHER_SOURCES} With these, not even 1000 trials (now {now}) are expected to find {gain} points more."
    found = f"A search of {number} trials (now {now}) is expected to find {gain} points more"
    return f"{found}; other sources may find it sooner."


def _after_worse_than_untrained(case: _Case) -> str:
    entry = next(entry for entry in case.facts.worse if entry["comparator"] == UNTRAINED)
    return "Use the backbone as it is. " + _other_trials(case, abs(float(entry["difference"])))


def _after_not_above_no_image(case: _Case) -> str:
    mean = case.facts.mean
    assert mean is not None
    check = "Check with `recombine data check` that the images decide these questions."
    if mean.is_below:
        return f"{check} {_other_trials(case, mean.no_image - mean.accuracy)}"
    above = f"{points_text(WORTH_SEEING, signed=False)} points above what needs no image"
    return f"{check} {_takes(case, case.prospects.judged_alone, above)}"


def _after_worse_than_some(case: _Case) -> str:
    most = max(case.facts.worse, key=lambda entry: abs(float(entry["difference"])))
    return "Start from what was better. " + _other_trials(case, abs(float(most["difference"])))


def _after_left_behind(case: _Case) -> str:
    names = shortened([found.eval_set for found in case.facts.left_behind])
    gain = f"a gain of {points_text(WORTH_SEEING, signed=False)} points there"
    alone = f"Search for {names} alone, or add sources that share an element with it."
    return f"{alone} {_takes(case, case.prospects.on_one_target, gain)}"


def _after_forgetting(case: _Case) -> str:
    names = shortened([str(entry["eval_set"]) for entry in case.facts.lost])
    seen = max(float(entry.get("minimum_detectable") or 0.0) for entry in case.facts.lost)
    return (
        f"Add a subset like {names} to the sources and search again, or accept the loss; "
        f"a loss of {points_text(seen, signed=False)} points is seen four times in five."
    )


def _after_better_than_some(case: _Case) -> str:
    if case.facts.detectable <= WORTH_SEEING:
        seen = points_text(case.facts.detectable, signed=False)
        return f"Take the cheapest of those that were not told apart: {seen} points between them would have been seen."
    return "To tell the rest apart: " + _see_more(case)[0].lower() + _see_more(case)[1:]


def _after_better_than_all(case: _Case) -> str:
    number = case.prospects.trials_to_gain(0.01) if case.prospects.has_spread else None
    more = "more than 1000" if number is None else str(number)
    found = f"One point more is expected from a search of {more} trials (now {case.prospects.num_trials})."
    return found if case.facts.split == "sealed" else f"Open the sealed questions (`confirm.open_sealed`). {found}"


_STEPS: Mapping[FindingCase, Callable[[_Case], str]] = {
    FindingCase.worse_than_untrained: _after_worse_than_untrained,
    FindingCase.not_above_no_image: _after_not_above_no_image,
    FindingCase.worse_than_some: _after_worse_than_some,
    FindingCase.not_told_apart: _after_nothing_told_apart,
    FindingCase.target_left_behind: _after_left_behind,
    FindingCase.forgets: _after_forgetting,
    FindingCase.better_than_some: _after_better_than_some,
    FindingCase.better_than_all: _after_better_than_all,
}
