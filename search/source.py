"""Where trials come from: a fixed list, or a strategy that learns from what has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

from search.composition import Candidate
from search.ledger import Ledger
from search.status import Stage, Status
from search.strategies.base import Observation, Strategy
from search.trials import PlannedTrial

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

    Every proposal is in the ledger before its trial starts. Proposals that have no result (the driver died) come
    first again, in their order and with their reasons.

    Args:
        strategy: a pure function of (seed, space, history, pending).
        ledger: the study's open ledger.
        num_trials: how many proposals the study may make.
        max_concurrent: trials that run at once.
        deterministic: proposal k sees the results of the proposals before k - max_concurrent + 1, no others.
        build: makes the trial of a candidate.
        values: objective values of a trial's record; None when it has none.
        scores: accuracy by evaluation set of a trial's record, for strategies that learn from all of them.
    """

    def __init__(
        self,
        strategy: Strategy,
        ledger: Ledger,
        *,
        num_trials: int,
        max_concurrent: int,
        deterministic: bool,
        build: Callable[[Candidate, int, str], PlannedTrial],
        values: Callable[[Mapping[str, Any]], tuple[float, ...] | None],
        scores: Callable[[Mapping[str, Any]], Mapping[str, float]] | None = None,
    ) -> None:
        self._strategy = strategy
        self._ledger = ledger
        self.num_trials = num_trials
        self._max_concurrent = max_concurrent
        self._deterministic = deterministic
        self._build = build
        self._values = values
        self._scores = scores
        self._handed_out: set[int] = set()

    def next_trial(self) -> PlannedTrial | Wait | None:
        """Return the next proposal without a result: an old one first, else a new one from the strategy."""
        ended = self.observations()
        proposals = self._proposals()
        for index in sorted(proposals):
            if index not in ended and index not in self._handed_out:
                return self._hand_out(index, proposals[index])
        index = len(proposals)
        if index >= self.num_trials:
            return None
        horizon = index - self._max_concurrent if self._deterministic else index
        if self._deterministic and any(i not in ended for i in range(horizon + 1)):
            return WAIT
        known = [ended[i] for i in sorted(ended) if not self._deterministic or i <= horizon]
        seen = {o.proposal_index for o in known}
        pending = [_candidate(proposals[i]) for i in sorted(proposals) if i not in seen]
        suggestion = self._strategy.ask(known, pending)
        if suggestion is None:
            return None
        record = {
            "kind": "suggestion",
            "proposal_index": index,
            "strategy": self._strategy.name,
            "candidate": suggestion.candidate.as_dict(),
            "reason": suggestion.reason,
        }
        self._ledger.append(record)
        return self._hand_out(index, record)

    def observations(self) -> dict[int, Observation]:
        """Return what is known of every proposal that has ended, by proposal index."""
        proposals = self._proposals()
        ended: dict[int, Observation] = {}
        for record in self._ledger.records():
            index = record.get("proposal_index")
            if record["kind"] == "trial" and record["stage"] == Stage.search and index in proposals:
                ended[index] = Observation(
                    candidate=_candidate(proposals[index]),
                    values=self._values(record),
                    status=Status(record["status"]),
                    proposal_index=index,
                    scores=None if self._scores is None else self._scores(record),
                )
        return ended

    def _proposals(self) -> dict[int, Mapping[str, Any]]:
        return {r["proposal_index"]: r for r in self._ledger.records() if r["kind"] == "suggestion"}

    def _hand_out(self, index: int, record: Mapping[str, Any]) -> PlannedTrial:
        self._handed_out.add(index)
        return self._build(_candidate(record), index, record["reason"])


def _candidate(record: Mapping[str, Any]) -> Candidate:
    return Candidate.from_dict(record["candidate"])
