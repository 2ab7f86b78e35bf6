"""The words of a case: what a careful colleague would say, and nothing that its verdicts do not carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from search.evidence.finding.cases import UNTRAINED, FindingCase, FindingFacts, NoImage
from search.evidence.finding.points import points_text, size_text
from search.vocabulary import COMPARATORS

# Longer lists are read in the table of the composition.
MAX_NAMED_SUBSETS = 4
MAX_NAMED_SETS = 3


def compared_sentence(facts: FindingFacts) -> str:
    """What the strongest split shows about the mean over the targets, defeats and open questions included."""
    parts = [
        f"{words} {listed([_with_interval(entry) for entry in entries])}"
        for words, entries in (("better than", facts.better), ("worse than", facts.worse))
        if entries
    ]
    if facts.same:
        parts.append(f"no difference detected from {_names(facts.same)} ({_reach(facts.same)})")
    if not parts:
        return "Nothing to compare with was scored on every target."
    where = f"On {facts.split}, over {facts.num_targets} target{'s' if facts.num_targets > 1 else ''}"
    return f"{where}: {'; '.join(parts)}."


def _with_interval(entry: Mapping[str, Any]) -> str:
    text = f"{phrase(entry)} by {points_text(entry['difference'], signed=False)} points"
    low, high = entry.get("simultaneous_low"), entry.get("simultaneous_high")
    if low is None or high is None:
        return text
    return f"{text} (simultaneous 95 % interval {size_text(low, high)})"


def _reach(entries: Sequence[Mapping[str, Any]]) -> str:
    """Why nothing was detected: one seed, or what could have been seen."""
    seen = sorted(float(e["minimum_detectable"]) for e in entries if e.get("minimum_detectable") is not None)
    if all(entry.get("note") for entry in entries):
        return "one seed an arm cannot show one"
    if not seen:
        return "what could have been seen was not kept"
    ends = dict.fromkeys(points_text(end, signed=False) for end in (seen[0], seen[-1]))
    return f"one of {' to '.join(ends)} points would have been found four times in five"


def phrase(entry: Mapping[str, Any]) -> str:
    """A comparator in a sentence."""
    name = str(entry["comparator"])
    return COMPARATORS[name].phrase if name in COMPARATORS else name


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def shortened(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = len(names) - MAX_NAMED_SETS
    return listed(names if more <= 0 else [*names[:MAX_NAMED_SETS], f"{more} more"])


def mix_text(composition: Mapping[str, int]) -> str:
    """Names a mix while that fits on two lines."""
    if len(composition) > MAX_NAMED_SUBSETS:
        return f"the mix of {len(composition)} subsets below"
    largest_first = sorted(composition.items(), key=lambda item: (-item[1], item[0]))
    return listed([f"{size} samples of {name}" for name, size in largest_first]) if composition else "nothing"


def _names(entries: Sequence[Mapping[str, Any]]) -> str:
    return listed([phrase(entry) for entry in entries])


def _nothing_compared(facts: FindingFacts) -> str:
    return "No recommendation yet: the mix was compared with nothing."


def headline_of(case: FindingCase, facts: FindingFacts) -> str:
    """One sentence for a case that holds."""
    return _HEADLINES[case](facts)


def _worse_than_untrained(facts: FindingFacts) -> str:
    entry = next(entry for entry in facts.worse if entry["comparator"] == UNTRAINED)
    by = points_text(entry["difference"], signed=False)
    return f"Do not train on this mix: it is worse than the untrained backbone by {by} points."


def _not_above_no_image(facts: FindingFacts) -> str:
    assert facts.mean is not None
    return f"No recommendation: {_beside(facts.mean)}."


def _worse_than_some(facts: FindingFacts) -> str:
    others = [entry for entry in facts.worse if entry["comparator"] != UNTRAINED]
    by = [f"{phrase(entry)} by {points_text(entry['difference'], signed=False)} points" for entry in others]
    return f"Do not train on this mix: it is worse than {listed(by)}."


def _not_told_apart(facts: FindingFacts) -> str:
    if facts.is_one_seed:
        return "No recommendation yet: one training seed an arm cannot show a difference."
    return (
        f"No recommendation: the mix was not told from anything it was compared with; a difference of "
        f"{points_text(facts.detectable, signed=False)} points would have been seen."
    )


def _target_left_behind(facts: FindingFacts) -> str:
    behind = shortened(
        [
            f"{found.eval_set} {'does not' if found.accuracy <= found.no_image else 'is not shown to'} exceed what is "
            f"reached without its images ({100 * found.accuracy:.1f} %; {100 * found.no_image:.1f} % without)"
            for found in facts.left_behind
        ]
    )
    return f"Better on average than {_better(facts)}, but {behind}." if facts.better else f"Left behind: {behind}."


def _forgets(facts: FindingFacts) -> str:
    lost = shortened([f"{points_text(e['difference'], signed=False)} points on {e['eval_set']}" for e in facts.lost])
    loses = f"it loses {lost}, which the backbone did well before"
    return f"Better on the targets than {_better(facts)}, but {loses}." if facts.better else f"Also, {loses}."


def _better_than_some(facts: FindingFacts) -> str:
    if not facts.beats_untrained:
        better = f"the mix is better than {_names(facts.better)}"
        return f"No recommendation: {better}, but not told from the untrained backbone."
    told = f"better than {_names(facts.better)}; not told from {_names(facts.same)}"
    if len(facts.same) < len(facts.better):
        told = f"better than {_better(facts)}, from which it was not told"
    return f"Train on {mix_text(facts.composition)}: {told}."


def _better(facts: FindingFacts) -> str:
    """What it is better than, by whichever list is shorter."""
    if facts.worse or len(facts.same) >= len(facts.better):
        return _names(facts.better)
    everything = "everything it was compared with"
    return f"{everything} but {_names(facts.same)}" if facts.same else everything


def _comparison_unfinished(facts: FindingFacts) -> str:
    return f"No recommendation yet: the mix has still to be compared with {_names(facts.missing)}."


def _better_than_all(facts: FindingFacts) -> str:
    better = f"Train on {mix_text(facts.composition)}: better than everything it was compared with"
    return f"{better}, which leaves out {_names(facts.missing)}." if facts.missing else f"{better}."


def few_clusters_sentence(facts: FindingFacts) -> str:
    """Which targets' questions come from too few patients for narrow intervals, however many questions there are."""
    listing = [f"{e['clusters']:.3g} ({e['eval_set']}, {e['n']} questions)" for e in facts.few_clusters]
    return (
        f"Few patients, or images: the questions on {facts.split} count as {shortened(listing)}. Intervals allow for "
        "that; more questions about the same ones do not make them narrower."
    )


def missing_sentence(facts: FindingFacts) -> str:
    """What was asked for and not compared, with what is known of the reason."""
    return f"Asked for and not compared: {listed([f'{phrase(entry)} ({_reason(entry)})' for entry in facts.missing])}."


def _reason(entry: Mapping[str, Any]) -> str:
    number = int(entry["num_failed"])
    if number:
        return f"{number} trial{'s' if number > 1 else ''} failed"
    return "not yet" if entry["may_come"] else str(entry["decided"] or "not scored")


def _beside(found: NoImage) -> str:
    """How an accuracy stands to what is reached without the image: below, not above, or not shown to be above."""
    if found.is_below:
        relation = "is below"
    elif found.accuracy <= found.no_image:
        relation = "is not above"
    else:
        relation = "is not shown to be above"
    reached = f"the {100 * found.no_image:.1f} % that is reached without looking at an image"
    return f"{100 * found.accuracy:.1f} % right {relation} {reached}"


_HEADLINES: Mapping[FindingCase, Callable[[FindingFacts], str]] = {
    FindingCase.nothing_compared: _nothing_compared,
    FindingCase.worse_than_untrained: _worse_than_untrained,
    FindingCase.not_above_no_image: _not_above_no_image,
    FindingCase.worse_than_some: _worse_than_some,
    FindingCase.not_told_apart: _not_told_apart,
    FindingCase.target_left_behind: _target_left_behind,
    FindingCase.forgets: _forgets,
    FindingCase.comparison_unfinished: _comparison_unfinished,
    FindingCase.better_than_some: _better_than_some,
    FindingCase.better_than_all: _better_than_all,
}
