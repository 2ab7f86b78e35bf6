"""Where trials come from: a fixed list, or a strategy that learns from what has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

from search.engine.trial_factory import PlannedTrial
from search.ledger.ledger import Ledger
from search.ledger.records import Kind, role_of, search_end, trials_of
from search.ledger.tries import to_try_again
from search.space.candidate import Candidate, SearchSpace
from search.strategies.interface import Observation, Strategy
from search.strategies.ranking import mean_result
from search.vocabulary import Stage, Status

Wait = Literal["wait"]
WAIT: Wait = "wait"


class TrialSource(Protocol):
    """Hands out trials one at a time; None means there are no more, `WAIT` that one may come after a result."""

    def next_trial(self) -> PlannedTrial | Wait | None:
        """Return the next trial to run."""
        ...


class ListSource:
    """A fixed list of trials: baseline, transfer matrix, confirmation, designs."""

    def __init__(self, trials: Iterable[PlannedTrial]) -> None:
        self._trials = iter(list(trials))

    def next_trial(self) -> PlannedTrial | Wait | None:
        """Return the next trial of the list."""
        return next(self._trials, None)


class StrategySource:
    """Trials that a strategy proposes, from the ledger alone; so a resumed study proposes what it would have.

    Every proposal is in the ledger before its trial starts. Proposals that have no result (the driver died, or the
    machine failed their trials) come first again, in their order and with their reasons.

    Args:
        strategy: a pure function of (seed, space, history, pending).
        ledger: the study's open ledger.
        num_trials: how many proposals the study may make.
        seeds: every proposal is trained once with each; the strategy sees the mean, when all have ended.
        max_concurrent: trials that run at once.
        deterministic: proposal k sees the results of the proposals before k - max_concurrent + 1, no others.
        build: makes the trial of a candidate, its proposal's index, the reason and a seed.
        values: objective values of a trial's record; None when it has none.
        scores: accuracy by evaluation set of a trial's record, for strategies that learn from all of them.
        space: the strategy is shown what lies in it; older versions proposed what could not count.
        least_gain: the search ends when so many proposals in a row as `patience` promise less, as a share; None: never.
        patience: how many; a strategy that looks for several things in turn needs one for each.
        spent: asked before every new proposal; a reason ends the search.
        limits: what `least_gain` and `spent` go by; an end that was recorded under other limits counts no
            more, until the confirmation begins: then the search has ended for good.
    """

    def __init__(
        self,
        strategy: Strategy,
        ledger: Ledger,
        *,
        num_trials: int,
        max_concurrent: int,
        deterministic: bool,
        build: Callable[[Candidate, int, str, int], PlannedTrial],
        values: Callable[[Mapping[str, Any]], tuple[float, ...] | None],
        scores: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None,
        seeds: Sequence[int] = (0,),
        space: SearchSpace | None = None,
        least_gain: float | None = None,
        patience: int = 1,
        spent: Callable[[], str | None] = lambda: None,
        limits: Mapping[str, float | None] | None = None,
    ) -> None:
        self._strategy = strategy
        self._ledger = ledger
        self.num_trials = num_trials
        self._max_concurrent = max_concurrent
        self._deterministic = deterministic
        self._build = build
        self._values = values
        self._scores = scores
        self._seeds = tuple(seeds)
        self._space = space
        self._least_gain, self._patience = least_gain, patience
        self._spent, self._limits = spent, dict(limits or {})
        self._handed_out: set[tuple[int, int]] = set()

    def next_trial(self) -> PlannedTrial | Wait | None:
        """Return the next proposal without a result: an old one first, else a new one from the strategy."""
        ended = self.observations()
        proposals = self._proposals()
        trials = self._trials(proposals)
        for index in sorted(proposals):
            for seed in self._seeds:
                if seed not in trials[index] and (index, seed) not in self._handed_out:
                    return self._hand_out(index, seed, proposals[index])
        index = len(proposals)
        if index >= self.num_trials or self._has_ended() or self._ends(index, self._spent()):
            return None
        horizon = index - self._max_concurrent if self._deterministic else index
        if self._deterministic and any(i not in ended for i in range(horizon + 1)):
            return WAIT
        shown = [i for i in sorted(proposals) if self._space is None or self._space.contains(_candidate(proposals[i]))]
        known = [ended[i] for i in shown if i in ended and (not self._deterministic or i <= horizon)]
        seen = {o.proposal_index for o in known}
        pending = [_candidate(proposals[i]) for i in shown if i not in seen]
        suggestion = self._strategy.ask(known, pending)
        if suggestion is None:
            return None
        if self._ends(index, self._too_little(suggestion.gain, proposals)):
            return None
        record = {
            "kind": Kind.suggestion.value,
            "proposal_index": index,
            "strategy": self._strategy.name,
            "candidate": suggestion.candidate.as_dict(),
            "reason": suggestion.reason,
            "gain": suggestion.gain,
        }
        self._ledger.append(record)
        return self._hand_out(index, self._seeds[0], record)

    def _has_ended(self) -> bool:
        if self._ledger.records(Kind.confirm_started):
            return True  # what was opened cannot be closed
        return search_end(self._ledger.records(), self._limits) is not None

    def _ends(self, index: int, why: str | None) -> bool:
        """Write down that the search ends, so that a resumed study does not change its mind."""
        if why is not None:
            record = {"kind": Kind.search_stopped.value, "proposal_index": index, "why": why, "limits": self._limits}
            self._ledger.append(record)
        return why is not None

    def _too_little(self, gain: float | None, proposals: Mapping[int, Mapping[str, Any]]) -> str | None:
        """What is said where this proposal and those just before it promise less than is asked for."""
        if self._least_gain is None or len(proposals) + 1 < self._patience:
            return None
        before = [proposals[index].get("gain") for index in sorted(proposals)[len(proposals) + 1 - self._patience :]]
        if all(each is not None and each < self._least_gain for each in (*before, gain)):
            return f"the next is expected to gain less than {100 * self._least_gain:g} points"
        return None

    def observations(self) -> dict[int, Observation]:
        """Return what is known of every proposal that has ended, by proposal index."""
        proposals = self._proposals()
        return {
            index: self._observation(index, proposals[index], [trials[seed] for seed in self._seeds])
            for index, trials in self._trials(proposals).items()
            if all(seed in trials for seed in self._seeds)
        }

    def _observation(
        self, index: int, proposal: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
    ) -> Observation:
        """The mean over seeds."""
        by_seed = [
            Observation(
                candidate=_candidate(proposal),
                values=self._values(record),
                status=Status(record["status"]),
                proposal_index=index,
                scores=None if self._scores is None else self._scores(record),
                rungs=self._rungs(record["train_id"]) if len(records) == 1 else {},
            )
            for record in records
        ]
        return mean_result(by_seed)

    def _rungs(self, train_id: str) -> dict[int, dict[str, float]]:
        """Accuracy by evaluation set at every rung where a trial was compared."""
        return {
            rung["rung"]: {name: bits.count("1") / len(bits) for name, bits in rung["correct"].items()}
            for rung in self._ledger.records(Kind.rung)
            if rung["train_id"] == train_id
        }

    def _trials(self, proposals: Mapping[int, Mapping[str, Any]]) -> dict[int, dict[int, Mapping[str, Any]]]:
        """The records of every proposal's trials that have ended, by seed."""
        trials: dict[int, dict[int, Mapping[str, Any]]] = {index: {} for index in proposals}
        records = self._ledger.records()
        unended = to_try_again(records)
        for record in trials_of(records, Stage.search):
            if record["proposal_index"] in trials and role_of(record) not in unended:
                trials[record["proposal_index"]][record["seed"]] = record
        return trials

    def _proposals(self) -> dict[int, Mapping[str, Any]]:
        return {r["proposal_index"]: r for r in self._ledger.records(Kind.suggestion)}

    def _hand_out(self, index: int, seed: int, record: Mapping[str, Any]) -> PlannedTrial:
        self._handed_out.add((index, seed))
        return self._build(_candidate(record), index, record["reason"], seed)


def _candidate(record: Mapping[str, Any]) -> Candidate:
    return Candidate.from_dict(record["candidate"])
