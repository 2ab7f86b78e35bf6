"""A study directory belongs to one study."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.errors import UserError
from search.study.run_dir import (
    RunDir,
    RunFile,
    claim_run_dir,
    differences,
    read_resolved,
    require_same_study,
    run_dir_of,
)
from search.study.spec import StudySpec
from tests.makers.study_fixture import changed

IDENTITY = {"store": "s", "backbone": "b"}


def spec_of(changes: dict[str, Any] | None = None) -> StudySpec:
    return StudySpec.model_validate(changed(changes or {}))


def test_the_default_directory_lies_beside_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_dir_of(Path("study.yaml"), spec_of()) == RunDir(tmp_path / "runs" / "tiny")


def test_the_same_study_resumes_and_is_read_back(tmp_path: Path) -> None:
    changes = {"space.recipe": {"learning_rate": {"kind": "log_uniform", "low": 1e-5, "high": 2e-4}, "num_steps": [4]}}
    for _ in range(2):
        claim_run_dir(RunDir(tmp_path / "run"), spec_of(changes), IDENTITY)
    assert read_resolved(RunDir(tmp_path / "run")) == spec_of(changes)
    assert [p.name for p in (tmp_path / "run").iterdir()] == [RunFile.study]


def test_another_study_is_refused_before_its_identity_is_known(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    require_same_study(run_dir, spec_of())
    assert not run_dir.root.exists()
    claim_run_dir(run_dir, spec_of(), IDENTITY)
    require_same_study(run_dir, spec_of())
    with pytest.raises(UserError, match="seed: was 0, is 7"):
        require_same_study(run_dir, spec_of({"seed": 7}))


def test_a_field_that_is_new_changes_nothing_at_its_default(tmp_path: Path) -> None:
    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)
    path = tmp_path / RunFile.study
    older = path.read_text(encoding="utf-8").replace("  replicates: 1\n", "")
    assert "replicates" not in older
    path.write_text(older, encoding="utf-8")
    with pytest.raises(UserError, match="replicates: was 1, is 2"):
        claim_run_dir(RunDir(tmp_path), spec_of({"strategy.replicates": 2}), IDENTITY)
    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)


def test_a_study_with_a_repeated_seed_is_resumed_and_read(tmp_path: Path) -> None:
    """Versions before took them; a new study's count once."""
    claim_run_dir(RunDir(tmp_path), spec_of({"confirm.seeds": [101]}), IDENTITY)
    path = tmp_path / RunFile.study
    stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    stored["confirm"]["seeds"] = [101, 101]
    path.write_text(yaml.safe_dump(stored), encoding="utf-8")
    assert read_resolved(RunDir(tmp_path)).confirm.seeds == (101,)
    claim_run_dir(RunDir(tmp_path), spec_of({"confirm.seeds": [101, 101]}), IDENTITY)


def test_a_backbone_that_is_told_apart_since_is_refused_with_what_to_do(tmp_path: Path) -> None:
    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)
    with pytest.raises(UserError, match=r'identity.backbone: was "b", is "c"') as caught:
        claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY | {"backbone": "c"})
    assert "start it anew in another directory" in (caught.value.hint or "")
    with pytest.raises(UserError, match=r"identity.backbone") as caught:
        claim_run_dir(RunDir(tmp_path), spec_of({"seed": 7}), IDENTITY | {"backbone": "c"})
    assert "undo the change" in (caught.value.hint or "")


def test_a_study_of_another_trainer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)  # by a version that said nothing of its trainer
    with pytest.raises(UserError, match=r'identity.trainer: was null, is "2"') as caught:
        claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY | {"trainer": "2"})
    assert "start it anew in another directory" in (caught.value.hint or "")


def test_a_study_of_another_version_is_told_so_whatever_of_it_changed_and_what_reuse_takes(tmp_path: Path) -> None:
    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)

    def hint(**later: str) -> str:
        with pytest.raises(UserError) as caught:
            claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY | later)
        return caught.value.hint or ""

    both = hint(trainer="2", scorer="2")
    assert "trains such recipes otherwise" in both
    assert "compares answers in words otherwise" in both
    assert "start it anew in another directory" in both
    assert "`reuse`" not in both  # what this version trains otherwise is another training
    assert "takes over trials whose adapters were kept" in hint(scorer="2")
    assert hint(store="other", scorer="2").startswith("undo the change")


@pytest.mark.parametrize(
    ("changes", "identity", "named"),
    [
        ({"targets": ["ct-lung"]}, IDENTITY, ["targets"]),
        ({"seed": 7, "recipe.num_steps": 5}, IDENTITY, ["seed: was 0, is 7", "recipe.num_steps: was 4, is 5"]),
        ({"strategy.name": "optuna-tpe"}, IDENTITY, ["strategy.name"]),
        ({"confirm.seeds": [102]}, IDENTITY, ["confirm.seeds"]),
        ({}, {**IDENTITY, "store": "other"}, ["identity.store"]),
        ({}, {**IDENTITY, "backbone": "other"}, ["identity.backbone"]),
    ],
)
def test_another_study_is_refused_with_every_difference(
    tmp_path: Path, changes: dict[str, Any], identity: dict[str, str], named: list[str]
) -> None:
    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)
    before = (tmp_path / RunFile.study).read_bytes()
    with pytest.raises(UserError) as caught:
        claim_run_dir(RunDir(tmp_path), spec_of(changes), identity)
    assert all(name in caught.value.message for name in named)
    assert caught.value.message.count(": was ") == len(named)
    assert (tmp_path / RunFile.study).read_bytes() == before


def test_how_it_runs_and_how_long_may_change(tmp_path: Path) -> None:
    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)
    later = spec_of(
        {
            "strategy.num_trials": 99,
            "execution.max_concurrent": 8,
            "confirm.open_sealed": False,
            "quarantine_limit": 0.5,
        }
    )
    claim_run_dir(RunDir(tmp_path), later, IDENTITY)
    assert read_resolved(RunDir(tmp_path)) == later


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"name: [unclosed", id="cut"),
        pytest.param(b"- a list\n", id="no mapping"),
        pytest.param(b"\xff\xfe\x00name: x", id="no text"),
        pytest.param(b"name: tiny\nold_section: {a: 1}\n", id="of an older version"),
        pytest.param(b"name: 2026-11-23\n", id="by hand"),
        pytest.param(b"name: !!python/object:os.system x\n", id="not plain data"),
    ],
)
def test_a_damaged_or_old_file_is_the_users_to_repair(tmp_path: Path, content: bytes) -> None:
    (tmp_path / RunFile.study).write_bytes(content)
    with pytest.raises(UserError):
        read_resolved(RunDir(tmp_path))
    with pytest.raises(UserError):
        claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)
    assert (tmp_path / RunFile.study).read_bytes() == content


def test_a_directory_without_a_study_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="recombine run"):
        read_resolved(RunDir(tmp_path))


def test_a_kill_while_the_spec_is_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(BaseException):
        pass

    def kill(descriptor: int) -> None:
        raise KilledError

    claim_run_dir(RunDir(tmp_path), spec_of(), IDENTITY)
    before = (tmp_path / RunFile.study).read_bytes()
    monkeypatch.setattr("datasets_spec.atomic.os.fsync", kill)
    with pytest.raises(KilledError):
        claim_run_dir(RunDir(tmp_path), spec_of({"strategy.num_trials": 99}), IDENTITY)
    assert (tmp_path / RunFile.study).read_bytes() == before


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(plain, plain)
def test_there_are_differences_exactly_when_something_differs(before: Any, now: Any) -> None:
    assert list(differences(before, before)) == []
    if _without_nulls(before) != _without_nulls(now):  # a key that is null and one that is missing mean the same
        assert list(differences(before, now))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("fixed", "change"),
    [
        ({"deterministic": True}, {"execution.max_concurrent": 3}),
        ({}, {"execution.gpus_per_worker": 1.0}),
    ],
)
def test_what_would_change_the_experiment_is_refused(
    tmp_path: Path, fixed: dict[str, Any], change: dict[str, Any]
) -> None:
    claim_run_dir(RunDir(tmp_path), spec_of(fixed), IDENTITY)
    with pytest.raises(UserError, match=next(iter(change))):
        claim_run_dir(RunDir(tmp_path), spec_of({**fixed, **change}), IDENTITY)


# Whoever joins one of these to a path spells the layout of a study directory.
OWN_NAMES = {part for name in RunFile for part in name.split("/")} - {"figures"}


def spelled_names(source: str) -> set[str]:
    joined = (node.right for node in ast.walk(ast.parse(source)) if isinstance(node, ast.BinOp))
    return {node.value for node in joined if isinstance(node, ast.Constant) and node.value in OWN_NAMES}


def test_nobody_else_spells_the_layout() -> None:
    repository = Path(__file__).resolve().parents[3]
    found = {
        f"{path.relative_to(repository)}: {name}"
        for package in ("search", "trainers")
        for path in (repository / package).rglob("*.py")
        for name in spelled_names(path.read_text(encoding="utf-8"))
    }
    assert not found
    assert spelled_names('a = run / "report" / "trials.parquet"') == {"report", "trials.parquet"}
