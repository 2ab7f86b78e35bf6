"""An open study: its data, ledger and engine, and what its phases share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from datasets_spec.store.store import Store
from search.engine.interface import Engine
from search.engine.recorder import Recorder
from search.engine.trial_factory import PlannedTrial, TrialFactory
from search.engine.trial_sources import ListSource, StrategySource, TrialSource
from search.ledger.ledger import Ledger
from search.ledger.records import Kind, Record, trials_of
from search.study.run_dir import RunDir
from search.study.spec import StudySpec
from search.study.study import Study
from search.vocabulary import Stage
from trainers.backbone_spec import BackboneSpec

if TYPE_CHECKING:
    from trainers.executors.resources import TrialResources


@dataclass(frozen=True, kw_only=True)
class OpenStudy:
    """A study directory that is being worked on, before its engine.

    Attributes:
        backbone: with device and number format decided.
        needed_rows: how many first rows of each (subset, split) trials may read before `sealed` is opened.
        say: tells the user one line.
        on_running: told how many trials run, whenever that changes.
        on_slots: told the state of slots and of their queue, now and then.
        allow_mismatch: whether nodes may run other patch versions.
    """

    study: Study
    run_dir: RunDir
    store: Store
    backbone: BackboneSpec
    factory: TrialFactory
    ledger: Ledger
    recorder: Recorder
    resources: TrialResources
    needed_rows: Mapping[tuple[str, str], int]
    say: Callable[[str], None]
    on_running: Callable[[int], None]
    on_slots: Callable[[Mapping[str, Any]], None] = lambda state: None
    allow_mismatch: bool = False

    @property
    def spec(self) -> StudySpec:
        """The study's spec."""
        return self.study.spec

    def decide(self, decision: str) -> None:
        """Tell the user an automatic decision, and write it down once, for run.json and the report."""
        self.say(decision)
        if all(record["text"] != decision for record in self.ledger.records(Kind.decision)):
            self.ledger.append({"kind": Kind.decision.value, "text": decision})

    def with_engine(self, engine: Engine) -> StudyRun:
        """The same study, ready to run trials."""
        return StudyRun(engine=engine, **{field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class StudyRun(OpenStudy):
    """An open study with the engine that runs its trials."""

    engine: Engine

    @property
    def train_rows(self) -> dict[str, int]:
        """Number of training rows by subset."""
        return {name: self.store.count(name, "train") for name in self.study.catalog.names}

    def records(self, *stages: Stage) -> list[Record]:
        """Return the trial records of some stages, or all."""
        return trials_of(self.ledger.records(), *stages)

    def run_list(self, planned: Iterable[PlannedTrial]) -> None:
        """Run a fixed list of trials."""
        self.run_source(ListSource(planned))

    def run_source(self, source: TrialSource | StrategySource) -> None:
        """Run what a source hands out."""
        self.engine.run(source)
