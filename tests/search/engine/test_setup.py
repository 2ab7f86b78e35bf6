"""Which rows the slots get where vision features cannot be kept."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from datasets_spec.errors import UserError
from search.engine import setup
from search.study.sections.execution import ExecutionSection
from trainers.executors.resources import TrialResources
from trainers.rows import encoded_blocks
from trainers.rows.kept_features import FeaturesNotKeptError
from trainers.rows.stored_rows import StoredRows

STORE: Any = object()


def opened_with(vision_features: str | bool, said: list[str]) -> Any:
    kinds = {"vision_features": vision_features, "gpus_per_worker": 1, "slots": [{"count": 3}, {"gpus": 0.5}]}
    execution = ExecutionSection.model_validate(kinds)
    return SimpleNamespace(
        spec=SimpleNamespace(execution=execution),
        store=STORE,
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
    monkeypatch.setattr(setup, "_choose_features", lambda opened: (True, "they fit"))


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
