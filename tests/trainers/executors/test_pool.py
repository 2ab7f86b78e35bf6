"""Real slots: the same answers as nested, and what survives when processes die or hang."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.makers.families import toy_rows
from tests.makers.table_rows import TableRows
from trainers.backbone.backbone import backbone_fingerprint
from trainers.backbone_spec import BackboneSpec
from trainers.executors.broker import Work
from trainers.executors.nested import run_nested_trial
from trainers.executors.pool import SlotPool
from trainers.executors.resources import TrialResources
from trainers.executors.slot import SlotConfig
from trainers.recipe import Recipe
from trainers.trial.folder import ADAPTER_DIR, RESULT_FILE, read_outcomes, read_result, remove_adapter
from trainers.trial.spec import EvalRequest, TrialSpec

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
BACKBONE = BackboneSpec().resolved(gpus_per_worker=0)
FINGERPRINT = backbone_fingerprint(BACKBONE)
LONG = 200  # steps of a trial that is still training when something is killed: 3 s on an idle machine
BATCH = 4
NUM_SEEN: Counter[str] = Counter()  # samples by subset that this process has been asked for
BACK_S = 120.0  # 30 s on an idle machine (measured by `make bench-trials`)


class SomeRows(TableRows):
    """Rows of which two subsets have the images of a first batch only: the next ones never come."""

    def read(self, subset: str, split: str, num_rows: int | None = None) -> Any:
        import pyarrow as pa

        table = super().read("toy" if subset != "absent" else subset, split, num_rows)
        place = table.column_names.index("subset")
        return table.set_column(place, "subset", pa.array([subset] * table.num_rows))

    def with_images(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if row["subset"] in ("sleeps", "spins"):
            NUM_SEEN[row["subset"]] += 1
            hangs = NUM_SEEN[row["subset"]] > BATCH
            while hangs and row["subset"] == "spins":
                pass
            time.sleep(3_600 if hangs else 0)
        return super().with_images(row)


def spec(seed: int, *, subset: str = "toy", num_rows: int = 8, num_steps: int = 3, **changes: Any) -> TrialSpec:
    return TrialSpec(
        backbone=BACKBONE,
        backbone_fingerprint=FINGERPRINT,
        composition={subset: num_rows},
        rows_digest=f"{subset}-{num_rows}",
        recipe=Recipe(num_steps=num_steps, batch_size=BATCH, learning_rate=1e-3 * (1 + seed)),
        seed=seed,
        evaluations=(EvalRequest(eval_set="toy", split="search", fingerprint="toy", exposure="in_domain"),),
        **changes,
    )


@pytest.fixture(scope="module")
def rows(local_ray: None) -> SomeRows:
    return SomeRows(tables={("toy", split): toy_rows(9) for split in ("train", "search")})


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pooled")


@pytest.fixture(scope="module")
def pool(rows: SomeRows, run_dir: Path) -> Iterator[SlotPool]:
    def make_config(name: str, broker: Any) -> SlotConfig:
        return SlotConfig(
            name=name, broker=broker, backbone=BACKBONE, rows=rows, run_dir=run_dir, num_threads=1, measure=None,
            max_pack=1, checkpoint_s=0.1,
        )  # fmt: skip

    pool = SlotPool(
        slots=[TrialResources()],
        make_config=make_config,
        storage=str(run_dir / "cache"),
        say=lambda line: None,
    )
    pool.start()
    pool.wait_ready()
    yield pool
    pool.close()


def submit(pool: SlotPool, specs: Sequence[TrialSpec], *, timeout_s: float | None = None) -> Work:
    import ray

    work = Work(
        ticket=f"{time.time_ns()}",
        specs={s.train_id: s.model_dump(mode="json") for s in specs},
        submitted_at=time.time(),
        timeout_s=timeout_s,
    )
    ray.get(pool.broker.submit.remote(work))
    return work


def ends(pool: SlotPool, work: Work) -> list[tuple[str, str]]:
    """Wait for a ticket as a proxy does; every end that was told."""
    import ray

    told: list[tuple[str, str]] = []
    while True:
        found = ray.get(pool.broker.events.remote(work.ticket))
        if found == "unknown":
            ray.get(pool.broker.submit.remote(work))
        elif found is not None:
            told += [(event["train_id"], event["ended"]) for event in found[0]]
            if found[1]:
                return told


def wait_until_training(pool: SlotPool, run_dir: Path, one: TrialSpec) -> dict[str, Any]:
    """Wait for a checkpoint of a trial, which stands in its middle then; what the slot said of itself."""
    import ray

    from trainers.training.checkpoints import checkpoint_file

    while not checkpoint_file(run_dir, one.train_id).exists():
        time.sleep(0.02)
    assert not folder(run_dir, one).exists(), "it has ended already"
    (about,) = ray.get(pool.broker.state.remote())["slots"].values()
    return dict(about)


def pid_of(pool: SlotPool) -> int | None:
    """The process of the only slot, as far as the broker knows."""
    import ray

    slots = list(ray.get(pool.broker.state.remote())["slots"].values())
    return slots[0].get("pid") if slots else None


def folder(run_dir: Path, one: TrialSpec) -> Path:
    return run_dir / "trials" / one.folder_name


def test_five_pooled_trials_are_nested_trials_bit_for_bit(
    pool: SlotPool, rows: SomeRows, run_dir: Path, tmp_path: Path
) -> None:
    specs = [spec(seed, num_rows=4 + seed) for seed in range(5)]
    packed, alone = submit(pool, specs[:3]), submit(pool, specs[3:])
    assert sorted(ends(pool, packed) + ends(pool, alone)) == sorted((s.train_id, "finished") for s in specs)
    for one in (specs[0], specs[4]):
        run_nested_trial(one, rows, tmp_path, TrialResources(num_workers=0), submitted_at=time.time())
        mine, theirs = (
            load_file(folder(d, one) / ADAPTER_DIR / "adapter_model.safetensors") for d in (run_dir, tmp_path)
        )
        assert list(mine) == list(theirs)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
        assert read_outcomes(folder(run_dir, one)).equals(read_outcomes(folder(tmp_path, one)))


def test_a_finished_trial_gets_further_scores_without_training(pool: SlotPool, run_dir: Path) -> None:
    one = spec(0, num_rows=4)
    if not folder(run_dir, one).exists():
        ends(pool, submit(pool, [one]))
    before = read_result(folder(run_dir, one))
    more = EvalRequest(eval_set="toy", split="search", fingerprint="other", exposure="in_domain")
    asked = one.model_copy(update={"evaluations": (*one.evaluations, more)})
    assert ends(pool, submit(pool, [asked])) == [(one.train_id, "finished")]
    after = read_result(folder(run_dir, one))
    assert len(after.evaluations) == 2
    assert (after.train_s, after.adapter_sha256) == (before.train_s, before.adapter_sha256)


def test_a_trial_that_is_asked_for_once_more_after_its_weights_were_removed_is_left_as_it_is(
    pool: SlotPool, run_dir: Path
) -> None:
    one = spec(21)
    assert ends(pool, submit(pool, [one])) == [(one.train_id, "finished")]
    remove_adapter(folder(run_dir, one))
    before = (folder(run_dir, one) / RESULT_FILE).read_bytes()
    assert ends(pool, submit(pool, [one])) == [(one.train_id, "finished")]
    assert (folder(run_dir, one) / RESULT_FILE).read_bytes() == before


def test_a_killed_slot_is_back_and_its_trial_goes_on(pool: SlotPool, run_dir: Path) -> None:
    one, other = spec(11, num_steps=LONG), spec(12, num_steps=3)
    work, later = submit(pool, [one]), submit(pool, [other])
    about = wait_until_training(pool, run_dir, one)
    os.kill(about["pid"], signal.SIGKILL)
    killed_at = time.monotonic()
    while pid_of(pool) in (None, about["pid"]):
        time.sleep(0.2)
    assert time.monotonic() - killed_at <= BACK_S
    assert ends(pool, work) == [(one.train_id, "finished")]
    assert ends(pool, later) == [(other.train_id, "finished")]
    result = read_result(folder(run_dir, one))
    assert result.num_steps == LONG
    phases = [span.phase for span in result.spans]
    assert phases.index("train") < phases.index("startup")  # it did not begin anew, but where its checkpoint stood


def test_a_killed_broker_loses_and_repeats_nothing(pool: SlotPool, run_dir: Path) -> None:
    import ray

    one, other = spec(21, num_steps=LONG), spec(22)
    work, later = submit(pool, [one]), submit(pool, [other])
    wait_until_training(pool, run_dir, one)
    ray.kill(pool.broker, no_restart=False)
    assert ends(pool, work) == [(one.train_id, "finished")]
    assert ends(pool, later) == [(other.train_id, "finished")]
    for trial in (one, other):
        attempts = list((run_dir / "trials").glob(f".{trial.folder_name}*"))
        assert not attempts
        assert read_result(folder(run_dir, trial)).status == "finished"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["sleeps", "spins"])
def test_a_trial_that_hangs_is_ended_and_its_slot_used_again(pool: SlotPool, run_dir: Path, how: str) -> None:
    hanging, other = spec(31, subset=how, timeout_s=2.0), spec(32 if how == "sleeps" else 33)
    started = time.monotonic()
    work, later = submit(pool, [hanging], timeout_s=2.0), submit(pool, [other])
    assert ends(pool, work) == [(hanging.train_id, "timeout")]
    assert time.monotonic() - started <= 2.0 + 10.0 + 5.0  # its deadline, the margin, its first step and looking
    assert ends(pool, later) == [(other.train_id, "finished")]


def test_a_study_that_stops_saves_what_its_slots_hold(pool: SlotPool, run_dir: Path) -> None:
    """The last test of this file: the pool is closed by it."""
    import ray

    one = spec(41, num_steps=4 * LONG)
    submit(pool, [one])
    wait_until_training(pool, run_dir, one)
    pool.hand_over()
    assert not ray.get(pool.broker.state.remote())["held"]
    assert not folder(run_dir, one).exists()
