"""`recombine verify`: one changed byte is found and named, and every number is computed again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from datasets_spec.errors import UserError
from search.cli.verbs import app
from search.designs.backbones import write_comparison
from search.evidence.inputs.environment import this_environment
from search.ledger.frames import encode_frame, scan_frames
from search.ledger.ledger import Ledger
from search.results import verify
from search.results.hash_list import file_sha256, listed_hashes, record_hashes, result_files
from search.results.verify import RECORDS, verify_run
from search.study.run_dir import RunDir, RunFile
from search.study.study import Study
from tests.makers.finished_run import finished_study


@pytest.fixture
def run_dir(finished_dir: RunDir, tmp_path: Path) -> RunDir:
    """A copy, without study file, catalog or store."""
    shutil.copytree(finished_dir.root, tmp_path / "mailed")
    return RunDir(tmp_path / "mailed")


def listed_anew(run_dir: RunDir, name: str) -> None:
    """What somebody does who changes a file and lists its hash in the ledger as well."""
    with Ledger.open(run_dir / "ledger", writer=True, is_run=False) as ledger:
        ledger.append({"kind": "results", "files": {name: file_sha256(run_dir / name)}, "removed": []})


def test_a_directory_alone_verifies_and_is_not_changed(run_dir: RunDir) -> None:
    before = {path: file_sha256(path) for path in run_dir.root.rglob("*") if path.is_file()}
    result = CliRunner().invoke(app, ["verify", str(run_dir)])
    assert result.exit_code == 0, result.output
    found = verify_run(run_dir)
    assert (found.problems, found.notes) == ((), ())
    assert found.num_files == len(result_files(run_dir)) > 20
    assert found.num_recomputed > 12
    assert {path: file_sha256(path) for path in run_dir.root.rglob("*") if path.is_file()} == before


def test_every_kind_of_result_has_a_hash(finished_dir: RunDir) -> None:
    listed = listed_hashes(finished_dir.read_records())
    kinds = (
        "study.resolved.yaml", "run.json", "inputs/study.json", "inputs/questions.parquet", "report/index.html",
        "report/trials.parquet", "report/transfer.csv", "selection/selection.json", "selection/mix.yaml",
    )  # fmt: skip
    assert set(kinds) <= set(listed)
    assert any(name.endswith("adapter/adapter_model.safetensors") for name in listed)
    assert any(name.endswith("outcomes-sealed.parquet") for name in listed)
    assert not any(name.startswith(("cache/", "ledger/")) for name in listed)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_is_found_and_its_file_named(finished_dir: RunDir, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([RECORDS, *result_files(finished_dir)]))
    path = finished_dir / name
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[place] ^= data.draw(st.integers(1, 255))
    try:
        path.write_bytes(flipped)
        assert name in {problem.file for problem in verify_run(finished_dir).problems}
    finally:
        path.write_bytes(content)


def test_missing_and_added_files_are_named(run_dir: RunDir) -> None:
    (run_dir / "report/transfer.csv").unlink()
    (run_dir / "trials/added").mkdir()
    (run_dir / "trials/added/outcomes-search.parquet").write_bytes(b"")
    (run_dir / "cache").mkdir()
    (run_dir / "cache/rows").write_bytes(b"a cache is no result")
    (run_dir / "notes.txt").write_text("a user's own file")
    found = {problem.file: problem.what for problem in verify_run(run_dir).problems}
    assert found == {
        "report/transfer.csv": "it is missing",
        "trials/added/outcomes-search.parquet": "the ledger lists no such file",
    }


def test_changed_numbers_are_found_even_where_their_hashes_were_listed_anew(run_dir: RunDir) -> None:
    changes = {
        "selection/selection.json": ('"num_compared": 2', '"num_compared": 3', "num_compared is 3, and computed 2"),
        "run.json": ('"num_runs": 1', '"num_runs": 2', "num_runs is 2, and computed 1"),
        "report/transfer.md": ("ct-lung", "ct-lunge", "line "),
        "report/index.html": ("<h1>", "<h1>Not ", "line "),
    }
    for name, (old, new, _) in changes.items():
        text = (run_dir / name).read_text()
        assert old in text
        (run_dir / name).write_text(text.replace(old, new, 1))
        listed_anew(run_dir, name)
    frame = pd.read_parquet(run_dir / "report/trials.parquet")
    frame["accuracy"] = [*frame["accuracy"][:3], 0.01, *frame["accuracy"][4:]]
    frame.to_parquet(run_dir / "report/trials.parquet")
    listed_anew(run_dir, "report/trials.parquet")
    found = {problem.file: problem.what for problem in verify_run(run_dir).problems}
    assert all(said in found[name] for name, (*_, said) in changes.items())
    assert found["report/trials.parquet"].startswith("row 4 accuracy is ")


def written_by_another_version(run_dir: RunDir) -> None:
    """As the sources of a commit before would have left it, which computed one interval otherwise."""
    for name in (RunFile.facts, RunFile.run, RunFile.transfer):
        text = (run_dir / name).read_text().replace(this_environment().source_sha256, "0" * 64)
        if name == RunFile.transfer:
            head, row, *rest = text.splitlines(keepends=True)
            values = dict(zip(head.rstrip().split(","), row.rstrip().split(","), strict=True))
            values["ci_low"] = str(float(values["ci_low"]) - 0.03)
            text = "".join([head, ",".join(values.values()) + "\n", *rest])
        (run_dir / name).write_text(text)
        listed_anew(run_dir, name)


def test_what_another_version_computed_otherwise_is_not_called_damaged_and_damage_still_is(run_dir: RunDir) -> None:
    written_by_another_version(run_dir)
    found = verify_run(run_dir)
    assert found.problems == ()
    (place,) = found.otherwise
    assert place.file == RunFile.transfer
    assert place.what.startswith("row 1 ci_low is ")
    result = CliRunner().invoke(app, ["verify", str(run_dir)])
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "this version computes 1 figures otherwise; `recombine report STUDY --run-dir" in said
    assert "other sources of recombine (000000000000" in said
    assert "Restore" not in said
    with (run_dir / RunFile.transfer).open("a") as file:
        file.write("\n")
    result = CliRunner().invoke(app, ["verify", str(run_dir)])
    assert result.exit_code == 1
    assert "Restore the files from a copy" in " ".join(result.output.split())


def test_a_design_on_several_backbones_is_judged_by_the_version_that_wrote_each(
    finished_dir: RunDir, tmp_path: Path
) -> None:
    for name in ("large", "small"):
        shutil.copytree(finished_dir.root, tmp_path / RunFile.backbones / name)
    whole = RunDir(tmp_path)
    write_comparison({}, whole)
    assert verify_run(whole).problems == verify_run(whole).otherwise == ()
    (whole / RunFile.backbones_markdown).write_text("changed")
    assert {problem.file for problem in verify_run(whole).problems} == {RunFile.backbones_markdown}
    written_by_another_version(whole.of_backbone("small"))
    found = verify_run(whole)
    assert found.problems == ()
    assert {problem.file for problem in found.otherwise} == {
        f"{RunFile.backbones}/small/{RunFile.transfer}",
        RunFile.backbones_markdown,
    }


def test_a_changed_answer_does_not_agree_with_the_ledger(run_dir: RunDir) -> None:
    path = next((run_dir / "trials").glob("finalist-1*/outcomes-sealed.parquet"))
    frame = pd.read_parquet(path)
    frame["correct"] = True
    frame.to_parquet(path)
    listed_anew(run_dir, path.relative_to(run_dir.root).as_posix())
    (problem,) = verify_run(run_dir).problems
    assert "are not those the ledger records" in problem.what


def test_a_changed_score_that_no_table_loads_is_counted_again(run_dir: RunDir) -> None:
    path = next((run_dir / "trials").glob("proposal-1*/outcomes-search.parquet"))
    frame = pd.read_parquet(path)
    frame.loc[3, "invalid"] = True
    frame.to_parquet(path)
    listed_anew(run_dir, path.relative_to(run_dir.root).as_posix())
    (problem,) = verify_run(run_dir).problems
    assert problem.file == path.parent.relative_to(run_dir.root).as_posix()
    assert problem.what.endswith("for mr-lung (search): invalid is 0, and computed 1")


def test_what_an_explanation_asks_for_is_no_result(finished: tuple[Study, RunDir], run_dir: RunDir) -> None:
    asked = ["explain", str(finished[0].path), "--run-dir", str(run_dir), "--sharpen", "ct-brain", "--num-trials", "1"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert (run_dir / RunFile.top_up).is_file()
    assert verify_run(run_dir).problems == ()


@pytest.mark.parametrize(
    ("name", "is_told"), [("processor", True), ("python", True), ("system", True), ("processors", False)]
)
def test_another_machine_is_told_where_it_may_round_otherwise(name: str, is_told: bool) -> None:
    here = this_environment()
    there = here.model_copy(update={"hardware": here.hardware | {name: "another"}})
    assert verify._same_arithmetic(here, there) is not is_told
    if is_told:
        assert f"{name} {here.hardware[name]} (here another)" in verify._elsewhere(here, there)


def test_a_record_that_was_changed_with_its_checksum_is_found(run_dir: RunDir) -> None:
    lines = (run_dir / RECORDS).read_bytes().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if b'"stage":"search"' in line)
    record = json.loads(lines[place][18:])
    lines[place] = encode_frame(record | {"seed": 7})
    (run_dir / RECORDS).write_bytes(b"".join(lines))
    (problem,) = verify_run(run_dir).problems
    assert problem.file == RECORDS
    assert f"record {place + 1} was written after other bytes" in problem.what


def test_a_study_that_went_on_and_one_of_a_version_before(run_dir: RunDir) -> None:
    with Ledger.open(run_dir / "ledger", writer=True):
        pass
    assert "went on after its results were written" in verify_run(run_dir).problems[0].what
    records = scan_frames((run_dir / RECORDS).read_bytes()).records
    old = [encode_frame(record | {"seq": n}) for n, record in enumerate(r for r in records if r["kind"] != "results")]
    (run_dir / RECORDS).write_bytes(b"".join(old))
    with pytest.raises(UserError, match="lists no hashes"):
        verify_run(run_dir)


def test_a_list_that_still_holds_is_not_written_again(run_dir: RunDir) -> None:
    before = (run_dir / RECORDS).read_bytes()
    with Ledger.open(run_dir / "ledger", writer=True, is_run=False) as ledger:
        record_hashes(run_dir, ledger)
    assert (run_dir / RECORDS).read_bytes() == before


def test_the_report_written_again_is_the_same_to_the_byte(tmp_path: Path) -> None:
    study, run_dir = finished_study(tmp_path)
    before = {name: file_sha256(run_dir / name) for name in result_files(run_dir)}
    ledger = (run_dir / RECORDS).read_bytes()
    result = CliRunner().invoke(app, ["report", str(study.path), "--run-dir", str(run_dir)])
    assert result.exit_code == 0, result.output
    assert {name: file_sha256(run_dir / name) for name in result_files(run_dir)} == before
    assert (run_dir / RECORDS).read_bytes() == ledger
