"""Which rows the slots get where vision features cannot be kept, or may be: a study keeps its way."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.nodes.room import LATER_S
from cluster.nodes.same_versions import own_versions
from datasets_spec.errors import UserError
from search.engine import setup
from search.engine.study_run import OpenStudy
from search.ledger.ledger import Ledger
from search.ledger.records import Kind
from search.study.run_dir import RunDir
from search.study.sections.execution import ExecutionSection
from trainers.executors.resources import TrialResources
from trainers.rows import encoded_blocks
from trainers.rows.kept_features import FeaturesNotKeptError
from trainers.rows.stored_rows import StoredRows

STORE: Any = object()


def opened_with(vision_features: str | bool, said: list[str], ledger: Ledger | None = None) -> Any:
    kinds = {"vision_features": vision_features, "gpus_per_worker": 1, "slots": [{"count": 3}, {"gpus": 0.5}]}
    execution = ExecutionSection.model_validate(kinds)
    return SimpleNamespace(
        spec=SimpleNamespace(execution=execution),
        store=STORE,
        ledger=ledger or SimpleNamespace(records=lambda kind: []),
        needed_rows={},
        backbone=None,
        decide=said.append,
        resources=TrialResources(gpus_per_worker=1.0),
    )


@pytest.fixture(autouse=True)
def features_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: Any, **options: Any) -> None:
        raise FeaturesNotKeptError("kept features change 2 of 8 answers")

    monkeypatch.setattr(encoded_blocks, "load_encoded_rows", refused)
    monkeypatch.setattr(setup, "_choose_features", lambda opened, earlier: (True, "they fit"))


def test_auto_trains_on_pixels_and_says_why() -> None:
    said: list[str] = []
    assert setup._pooled_rows(opened_with("auto", said)) == StoredRows(store=STORE)
    assert said == ["vision features: by every trial (kept features change 2 of 8 answers)"]


def test_features_that_were_asked_for_are_an_error() -> None:
    with pytest.raises(UserError, match="2 of 8 answers"):
        setup._pooled_rows(opened_with(True, []))


def test_every_slot_has_an_encoder_and_all_have_room(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(encoded_blocks, "load_encoded_rows", lambda *places, **options: asked.update(options))
    setup._pooled_rows(opened_with(True, []))
    assert asked == {"num_encoders": 4, "num_threads": 1, "gpus_per_encoder": 0.5}


@pytest.mark.parametrize("allow_mismatch", [False, True])
def test_every_slot_compares_its_node_with_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allow_mismatch: bool
) -> None:
    monkeypatch.setattr("cluster.nodes.room.may_start_nodes", lambda: True)
    opened = opened_with("auto", [])
    opened.spec.name, opened.spec.eval_sets, opened.spec.recipe, opened.spec.seed = "study", ["ct-lung"], None, 0
    opened.run_dir, opened.say, opened.on_slots = RunDir(tmp_path), print, print
    opened.factory = SimpleNamespace(spec=lambda *trial: SimpleNamespace(backbone_fingerprint="weights"))
    opened.needed_rows, opened.allow_mismatch = {("ct-lung", "train"): 4}, allow_mismatch
    config = setup._make_pool(opened, StoredRows(store=STORE)).make_config("a", None)
    assert config.backbone_fingerprint == "weights"
    assert config.other_versions() is None
    ours = own_versions()
    next_patch = ".".join([*ours.python.split(".")[:2], "99"])
    monkeypatch.setattr(platform, "python_version", lambda: next_patch)
    words = str(config.other_versions())
    assert words == "None" if allow_mismatch else f"Python {next_patch} on node" in words


GIB = 2.0**30
WARNED = (
    "WARNING: vision features are by every trial from here on, and were computed once a study before: "
    "trials before and after may differ in their last digits"
)
CHOOSE = setup._choose_features


class Starts:
    """Starts of one study, each with other room on the nodes there are, and on those that come."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger, self._patch = ledger, monkeypatch
        self.said: list[str] = []
        self.later_s: list[float] = []
        monkeypatch.setattr(setup, "_choose_features", CHOOSE)
        monkeypatch.setattr(setup, "_feature_bytes", lambda opened: 10 * GIB)
        monkeypatch.setattr(encoded_blocks, "load_encoded_rows", lambda *places, **options: "kept")

    def start(self, room_gib: float, *, later_gib: float | None = None, deterministic: bool = False) -> Any:
        rooms = [room_gib]

        def await_nodes(wanted: Any, *, is_enough: Any, later_s: float, **_: Any) -> None:
            self.later_s.append(later_s)
            rooms.append(later_gib or room_gib)

        self._patch.setattr(setup, "_room", lambda: rooms[-1] * GIB)
        self._patch.setattr("cluster.nodes.room.may_start_nodes", lambda: later_gib is not None)
        self._patch.setattr("cluster.nodes.room.await_nodes", await_nodes)
        opened = opened_with("auto", self.said, self.ledger)
        opened.say, opened.decide = self.said.append, lambda text: OpenStudy.decide(opened, text)
        opened.spec.deterministic = deterministic
        opened.spec.space = SimpleNamespace(recipe=SimpleNamespace(dimensions={}))
        opened.spec.recipe = SimpleNamespace(lora_modules="language")
        return setup._pooled_rows(opened)

    def decisions(self) -> list[str]:
        return [record["text"] for record in self.ledger.records(Kind.decision)]


@pytest.fixture
def starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starts]:
    with Ledger.open(tmp_path / "ledger", writer=True) as ledger:
        yield Starts(ledger, monkeypatch)


def test_a_study_that_began_on_pixels_stays_with_them_where_there_is_room(starts: Starts) -> None:
    assert [starts.start(room) for room in (2.0, 40.0)] == [StoredRows(store=STORE)] * 2
    decision = "vision features: by every trial (about 10.00 GiB; 2.00 GiB of the object store may be used)"
    assert starts.said == [decision] * 2
    assert starts.decisions() == [decision]


def test_a_study_that_began_with_kept_features_says_when_it_can_keep_them_no_longer(starts: Starts) -> None:
    assert starts.start(40.0) == "kept"
    assert WARNED not in starts.said
    assert [starts.start(room) for room in (2.0, 40.0)] == [StoredRows(store=STORE)] * 2
    assert starts.decisions()[1:] == [
        "vision features: by every trial (about 10.00 GiB; 2.00 GiB of the object store may be used)",
        WARNED,
    ]


def test_a_deterministic_study_that_began_with_them_waits_for_room(starts: Starts) -> None:
    assert [starts.start(2.0, later_gib=40.0, deterministic=True) for _ in range(2)] == ["kept"] * 2
    assert starts.later_s == [LATER_S, math.inf]
    starts.start(2.0, later_gib=2.0)
    assert starts.later_s[2:] == [LATER_S]
    assert starts.decisions()[-1] == WARNED
