"""The command as a user meets it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.cli.console import print_table
from search.ledger.ledger import Ledger
from search.study.run_dir import RunDir, claim_run_dir
from tests.makers.on_disk import on_disk
from tests.makers.study_fixture import open_study, write_store, write_study

ROOT = Path(__file__).parents[3]
VERBS = (
    ["init"], ["data"], ["data", "prepare"], ["data", "check"], ["data", "verify"], ["data", "gc"],
    ["data", "relations"], ["data", "init-catalog"], ["data", "unpack"], ["data", "export"],
    ["plan"], ["run"], ["status"], ["verify"], ["compare"], ["export"], ["predict"], ["report"], ["submit"],
    ["doctor"], ["demo"], ["phantom"], ["phantom", "write"], ["phantom", "build-base"], ["phantom", "evidence"],
    ["bench"], ["bench", "search"], ["bench", "digits"], ["bench", "phantom-table"], ["bench", "phantom-merges"],
    ["bench", "mixtures"],
)  # fmt: skip
HEAVY = ("torch", "ray", "transformers", "optuna", "pandas", "pyarrow", "altair", "scipy")
# Runs several commands in one process, then tells their exit codes and what has been imported.
_MANY = """
import io, json, sys
from contextlib import redirect_stdout
from search.cli.verbs import main
codes = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["recombine", *arguments]
    try:
        with redirect_stdout(io.StringIO()):
            main()
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code)
json.dump({"codes": codes, "modules": sorted(sys.modules)}, sys.stdout)
"""


def python(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=cwd
    )


def recombine(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return python("-m", "search.cli", *map(str, arguments), cwd=cwd)


def heavy_modules_after(commands: list[list[str]]) -> set[str]:
    done = python("-c", _MANY, json.dumps(commands))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["codes"] == [0] * len(commands)
    return set(told["modules"]) & set(HEAVY)


def test_help_of_every_verb_is_light() -> None:
    assert heavy_modules_after([["--help"], *([*verb, "--help"] for verb in VERBS)]) == set()


def test_every_verb_is_listed() -> None:
    listed = recombine("--help").stdout
    assert all(verb[0] in listed for verb in VERBS)


def test_a_plan_launches_nothing_and_writes_nothing(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert heavy_modules_after([["plan", str(path)], ["plan", str(path), "seed=3"]]) == set()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plan_shows_trials_rows_and_relations(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    shown = recombine("plan", path, "strategy.num_trials=11")
    assert shown.returncode == 0, shown.stderr
    assert "not known before `recombine data prepare`" in shown.stdout
    assert "area+task" in shown.stdout
    assert any(line.split()[:2] == ["search", "11"] for line in shown.stdout.splitlines())


def test_a_plan_shows_rows_of_a_store_that_is_older_than_the_catalog(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    study = open_study(tmp_path)
    manifest = json.loads((write_store(study).directory / "manifest.json").read_text())
    del manifest["subsets"]["mr-lung"]
    (on_disk(study.store_dir) / "manifest.json").write_text(json.dumps(manifest))
    shown = recombine("plan", path)
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["mr-lung", "?", "?", "?", "?"] in rows
    assert ["ct-lung", "12", "4", "4", "4"] in rows


def mistakes(root: Path) -> dict[str, tuple[list[str], str]]:
    """Commands that a user may well type, and what the answer must name."""
    study = str(write_study(root))
    (root / "list.yaml").write_text("- a\n", encoding="utf-8")
    (root / "broken.yaml").write_text("name: [tiny\n", encoding="utf-8")
    unknown = root / "unknown.yaml"
    text = (root / "study.yaml").read_text(encoding="utf-8")
    unknown.write_text(text.replace("targets:", "tragets:"), encoding="utf-8")
    run = root / "damaged"
    run.mkdir()
    (run / "study.resolved.yaml").write_text("name: [", encoding="utf-8")
    return {
        "no such study": (["plan", str(root / "studdy.yaml")], "Did you mean"),
        "a folder for a file": (["plan", str(root)], "cannot read"),
        "broken YAML": (["run", str(root / "broken.yaml")], "broken.yaml:"),
        "no mapping": (["plan", str(root / "list.yaml")], "list.yaml:1:1"),
        "unknown key": (["plan", str(unknown)], "Did you mean 'targets'?"),
        "unknown target": (["plan", study, "targets=[mr-lunk]"], "Did you mean 'mr-lung'?"),
        "wrong type": (["run", study, "seed=seven"], "seed"),
        "no override": (["plan", study, "seed"], "<command line>:1"),
        "unknown override": (["run", study, "recipe.lerning_rate=0.1"], "Did you mean 'learning_rate'?"),
        "unknown strategy": (["run", study, "strategy.name=optuna"], "Did you mean 'optuna-tpe'?"),
        "impossible recipe": (["run", study, "space.recipe.lora_modules=[all]"], "space.recipe.lora_modules"),
        "unknown template": (["init", str(root / "new"), "--template", "one-gpus"], "Did you mean 'one-gpu'?"),
        "there already": (["init", str(root), "--template", "one-gpu"], "exists"),
        "a file for a folder": (["init", study, "--template", "one-gpu"], "study.yaml"),
        "no run directory": (["status", str(root / "nowhere")], "recombine run"),
        "damaged run directory": (["status", str(run)], "damaged"),
        "nothing to report": (["report", study], "recombine data prepare"),
    }


_ALL = """
import contextlib, io, json, sys, traceback
from search.cli.verbs import main
ends = {}
for name, arguments in json.loads(sys.argv[1]).items():
    sys.argv, stderr = ["recombine", *arguments], io.StringIO()
    import search.cli.console
    search.cli.console.err.file = stderr
    try:
        main()
        ends[name] = [0, ""]
    except SystemExit as end:
        ends[name] = [end.code, stderr.getvalue()]
    except BaseException:
        ends[name] = [-1, traceback.format_exc()]
print(json.dumps(ends))
"""


def test_mistakes_end_with_code_2_one_message_and_no_traceback(tmp_path: Path) -> None:
    commands = mistakes(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = python("-c", _ALL, json.dumps({name: arguments for name, (arguments, _) in commands.items()}))
    assert done.returncode == 0, done.stderr
    ends = json.loads(done.stdout.splitlines()[-1])
    for name, (_, wanted) in commands.items():
        code, message = ends[name]
        assert (name, code) == (name, 2), message
        assert wanted in message, (name, message)
        assert "Traceback" not in message
        assert message.startswith("error: ")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["plan", "missing.yaml"], "missing.yaml"),
        (["plam"], "plam"),
        (["run"], "STUDY"),
        (["plan", "a", "--what"], "--what"),
    ],
)
def test_the_process_itself_ends_with_code_2(tmp_path: Path, arguments: list[str], wanted: str) -> None:
    done = recombine(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert wanted in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def trial(index: int, accuracy: float | None, **change: object) -> dict[str, object]:
    score = {"score_id": str(index), "eval_set": "mr-lung", "split": "search", "exposure": "held_out"}
    return {
        "kind": "trial", "train_id": f"id{index}", "stage": "search", "arm": f"proposal-{index}", "rung": None,
        "proposal_index": index, "composition": {"ct-lung": 4 * (index + 1)}, "status": "finished", "train_s": 60.0,
        "startup_s": 30.0, "reused": False, "error": None,
        "evaluations": [] if accuracy is None else [{**score, "accuracy": accuracy}],
        **change,
    }  # fmt: skip


def test_status_reads_a_ledger_without_a_cluster(tmp_path: Path) -> None:
    spec = open_study(tmp_path).spec
    run = tmp_path / "run"
    claim_run_dir(RunDir(run), spec, {})
    with Ledger.open(run / "ledger", writer=True) as ledger:
        for index in range(3):
            ledger.append({"kind": "suggestion", "proposal_index": index})
        ledger.append(trial(0, 0.25))
        ledger.append(trial(1, 0.75))
        ledger.append(trial(2, None, status="failed", error="OSError at x.py:3 [/no/markup]"))
        ledger.append(trial(3, 0.5, stage="single", arm="single:ct-lung", reused=True, proposal_index=None))
    done = recombine("status", run)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert "4 trials recorded, 3 of 6 proposals made" in done.stdout
    assert ["search", "finished", "2"] in lines
    assert ["search", "failed", "1"] in lines
    best = [line for line in lines if line and line[-1].endswith("%")]
    assert best == [["1", "ct-lung:8", "75.0%"], ["0", "ct-lung:4", "25.0%"]]
    assert "OSError at x.py:3 [/no/markup]" in done.stdout
    assert "spent: 4.5 min" in done.stdout  # what was reused cost nothing
    assert not [p for p in run.rglob("*") if "lock" not in p.name and p.suffix == ".bad"]


def test_status_says_which_trials_do_not_count(tmp_path: Path) -> None:
    run = tmp_path / "run"
    claim_run_dir(RunDir(run), open_study(tmp_path).spec, {})
    seen = {"score_id": "1", "eval_set": "mr-lung", "split": "search", "exposure": "in_domain", "accuracy": 0.9}
    with Ledger.open(run / "ledger", writer=True) as ledger:
        ledger.append(trial(0, 0.25))
        ledger.append(trial(1, 0.9, evaluations=[seen]))
    done = recombine("status", run)
    assert "1 trial of stage search does not count: trained on the own key of mr-lung" in done.stdout


def test_status_of_a_study_on_several_backbones_shows_each(tmp_path: Path) -> None:
    spec, run_dir = open_study(tmp_path).spec, RunDir(tmp_path / "run")
    for index, name in enumerate(("large", "small")):
        claim_run_dir(run_dir.of_backbone(name), spec, {})
        with Ledger.open(run_dir.of_backbone(name) / "ledger", writer=True) as ledger:
            ledger.append(trial(index, 0.25))
    done = recombine("status", run_dir.root)
    assert done.returncode == 0, done.stderr
    shown = [line for line in done.stdout.splitlines() if line.endswith(":") or "trials recorded" in line]
    assert [line.rpartition("/")[2].partition(" ")[0] for line in shown] == ["large:", "study", "small:", "study"]
    watched = recombine("status", run_dir.root, "--watch")
    assert watched.returncode == 0, watched.stderr
    assert [name for name in ("large:", "small:") if name in watched.stdout] == ["large:", "small:"]
    assert watched.stdout.count("trials: 1 finished") == 2


def test_status_of_a_study_that_has_not_begun(tmp_path: Path) -> None:
    claim_run_dir(RunDir(tmp_path / "run"), open_study(tmp_path).spec, {})
    done = recombine("status", tmp_path / "run")
    assert done.returncode == 2
    assert "ledger" in done.stderr


@pytest.mark.parametrize("template", ["one-gpu", "cluster"])
def test_a_template_is_a_valid_study_over_its_catalog(tmp_path: Path, template: str) -> None:
    from search.cli.init import write_study as write_template
    from search.study.load_study import load_study

    path = write_template(tmp_path, template)
    write_study(tmp_path / "other")
    catalog = (tmp_path / "other" / "catalog.yaml").read_text(encoding="utf-8")
    for old, new in (("mr-lung", "ct-lung-covid"), ("ct-lung", "xray-lung-covid"), ("ct-brain", "ct-brain-state")):
        catalog = catalog.replace(f"name: {old}\n", f"name: {new}\n")
    catalog = catalog.replace("name: xr-hand\n", "name: xray-bones-state\n")
    (tmp_path / "catalog.yaml").write_text(catalog, encoding="utf-8")
    assert load_study(path).spec.name == "my-study"


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    cell = "same key (in domain)"
    print_table("T", ["name", *(f"column-{i}" for i in range(40))], [["a" * 60, *[cell] * 40]])
    shown = capsys.readouterr().out
    assert "…" not in shown
    assert shown.count(cell) == 40
    assert len(shown.splitlines()) == 3  # title, header, one row
