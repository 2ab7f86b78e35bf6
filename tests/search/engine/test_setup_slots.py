"""What each slot occupies, from a study's file."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from search.engine.setup import shown_name, slots_of
from search.engine.study_run import OpenStudy
from search.study.sections.execution import ExecutionSection
from search.study.spec import StudySpec
from trainers.executors.resources import TrialResources, worker_resources

USUAL = TrialResources(cpus_per_worker=4, gpus_per_worker=1)


def opened(**execution: Any) -> OpenStudy:
    section = ExecutionSection.model_validate({"cpus_per_worker": 4, "gpus_per_worker": 1, **execution})
    return cast(OpenStudy, SimpleNamespace(spec=SimpleNamespace(execution=section), resources=USUAL))


def test_without_kinds_all_slots_are_equal() -> None:
    assert slots_of(opened(max_concurrent=3)) == [USUAL] * 3


def test_kinds_are_counted_and_what_is_left_out_is_as_usual() -> None:
    kinds = [{"count": 2, "accelerator": "A100"}, {"cpus": 8, "gpus": 0.5, "accelerator": "L4"}]
    first, second, third = slots_of(opened(slots=kinds, max_concurrent=8))
    assert first == second
    assert worker_resources(first) == {"CPU": 4.0, "GPU": 1.0, "accelerator_type:A100": 0.001}
    assert worker_resources(third) == {"CPU": 8.0, "GPU": 0.5, "accelerator_type:L4": 0.001}


def test_the_dashboard_shows_the_study_and_its_first_target_of_how_many() -> None:
    def shown(name: str, *eval_sets: str) -> str:
        return shown_name(cast(StudySpec, SimpleNamespace(name=name, eval_sets=eval_sets)))

    assert shown("my-study", "ct-lung") == "my-study-ct-lung"
    assert shown("my-study", "ct-lung", *(f"t{number}" for number in range(52))) == "my-study-ct-lung-and-52-more"
    assert len(shown("n" * 500, "t" * 100, "u")) < 100  # with a phase, a trial and a number it is a folder's name
