"""One study directory that is being worked on: what its phases share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_spec.store.store import Store
from search.engine.interface import Engine
from search.engine.recorder import Recorder
from search.engine.sources import ListSource, StrategySource, TrialSource
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.ledger.ledger import Ledger
from search.study.spec import StudySpec
from search.study.study import Study
from search.vocabulary import Stage
from trainers.backbone_spec import BackboneSpec

if TYPE_CHECKING:
    from trainers.executors.resources import TrialResources


@dataclass(kw_only=True)
class StudyRun:
    """An open study directory with its data, ledger and engine.

    Attributes:
        say: tells the user one line.
        engine: runs the trials.
    """

    study: Study
    run_dir: Path
    store: Store
    factory: TrialFactory
    ledger: Ledger
    recorder: Recorder
    resources: TrialResources
    say: Callable[[str], None]
    engine: Engine

    @property
    def spec(self) -> StudySpec:
        """The study's spec."""
        return self.study.spec

    @property
    def train_rows(self) -> dict[str, int]:
        """Number of training rows by subset."""
        return {name: self.store.count(name, "train") for name in self.study.catalog.names}

    def decide(self, decision: str) -> None:
        """Tell the user an automatic decision, and keep it for run.json and the report."""
        keep_decision(self.ledger, self.say, decision)

    def records(self, stage: Stage | None = None) -> list[Mapping[str, Any]]:
        """Return the trial records of a stage, or all."""
        trials: list[Mapping[str, Any]] = [r for r in self.ledger.records() if r["kind"] == "trial"]
        return trials if stage is None else [r for r in trials if r["stage"] == stage]

    def run_list(self, planned: Iterable[PlannedTrial]) -> None:
        """Run a fixed list of trials."""
        self.run_source(ListSource(planned))

    def run_source(self, source: TrialSource | StrategySource) -> None:
        """Run what a source hands out."""
        self.engine.run(source)


def keep_decision(ledger: Ledger, say: Callable[[str], None], decision: str) -> None:
    """Tell the user an automatic decision, and write it down once."""
    say(decision)
    if not any(r["kind"] == "decision" and r["text"] == decision for r in ledger.records()):
        ledger.append({"kind": "decision", "text": decision})


@dataclass(frozen=True, kw_only=True)
class EngineSetup:
    """An open study before its engine.

    Attributes:
        say: tells the user one line.
        on_running: told how many trials run, whenever that changes.
    """

    study: Study
    run_dir: Path
    store: Store
    backbone: BackboneSpec
    factory: TrialFactory
    ledger: Ledger
    recorder: Recorder
    resources: TrialResources
    say: Callable[[str], None]
    on_running: Callable[[int], None]

    @property
    def spec(self) -> StudySpec:
        """The study's spec."""
        return self.study.spec

    @property
    def partitions(self) -> list[tuple[str, str]]:
        """Return the (subset, split) pairs that trials may read before `sealed` is opened."""
        spec = self.spec
        sources = {*spec.space.composition.allowed, *spec.control_sources, *spec.declared_shots}
        if "target-labels" in spec.confirm.comparators:
            sources |= set(spec.objective_sets)
        return [(s, "train") for s in sorted(sources)] + [
            (e, split) for split in ("search", "confirm") for e in spec.sets_on(split)
        ]

    def decide(self, decision: str) -> None:
        """Tell the user an automatic decision, and keep it."""
        keep_decision(self.ledger, self.say, decision)
