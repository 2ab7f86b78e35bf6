"""Accuracy by a user's columns: right numbers, small strata together, wrong files refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets_spec.errors import UserError
from search.evidence.groups.strata import SMALL, compute_strata, read_strata
from search.evidence.outcomes import ArmOutcomes

ARM = ArmOutcomes(
    sample_ids=tuple(f"q{k:02d}" for k in range(50)),
    right=np.stack([np.arange(50) < 30, np.arange(50) < 20]).astype(float),
    seeds=(1, 2),
    is_trained=True,
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_each_column_gives_its_strata_and_small_ones_are_shown_together(tmp_path: Path) -> None:
    lines = [f"q{k:02d},{'A' if k < 20 else 'B' if k < 40 else f'rare{k}'},{k % 2}" for k in range(50)]
    strata = read_strata(write(tmp_path / "s.csv", "sample_id,site,odd\n" + "\n".join(lines) + "\n"))
    found = compute_strata(ARM, strata, name="selected", eval_set="e", split="sealed")
    by_name = {(r.column, r.stratum): r for r in found}
    assert set(by_name) == {("site", "A"), ("site", "B"), ("site", SMALL), ("odd", "0"), ("odd", "1")}
    assert by_name["site", "A"].accuracy == 1.0
    assert by_name["site", "B"].accuracy == 0.25  # 10 of 20 with the first seed, none with the second
    assert by_name["site", SMALL].n == 10
    assert all(r.ci_low <= r.accuracy + 1e-9 and r.accuracy <= r.ci_high + 1e-9 for r in found)
    assert {r.num_seeds for r in found} == {2}


def test_patients_widen_the_interval_of_a_stratum(tmp_path: Path) -> None:
    text = "sample_id,site\n" + "\n".join(f"q{k:02d},A" for k in range(50)) + "\n"
    strata = read_strata(write(tmp_path / "s.csv", text))
    alone = compute_strata(ARM, strata, name="s", eval_set="e", split="sealed")[0]
    groups = {f"q{k:02d}": f"p{k // 10}" for k in range(50)}
    clustered = compute_strata(ARM, strata, name="s", eval_set="e", split="sealed", groups=groups)[0]
    assert clustered.ci_high - clustered.ci_low > alone.ci_high - alone.ci_low
    assert (alone.num_groups, clustered.num_groups) == (None, 5)


def test_the_interval_is_that_of_the_mean_over_seeds_and_not_of_a_majority_of_them() -> None:
    """Of two seeds each question is right with one: a half is right, and no majority decides between 0.5 and 1."""
    once = np.arange(40) % 2 == 0
    arm = ArmOutcomes(
        sample_ids=tuple(f"q{k:02d}" for k in range(40)),
        right=np.stack([once, ~once]).astype(float),
        seeds=(1, 2),
        is_trained=True,
    )
    strata = {"site": dict.fromkeys(arm.sample_ids, "A")}
    groups = {sample: f"p{k // 2}" for k, sample in enumerate(arm.sample_ids)}
    for known in ({}, groups):
        (found,) = compute_strata(arm, strata, name="s", eval_set="e", split="sealed", groups=known)
        assert found.accuracy == 0.5
        assert found.ci_low + found.ci_high == pytest.approx(1.0)
        assert 0.3 < found.ci_low < 0.4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sampleid,site\nq1,A\n", "no column 'sample_id'"),
        ("sample_id\nq1\n", "no column beside"),
        ("sample_id,site\nq1,A\nq1,B\n", ":3: a question is listed twice"),
    ],
)
def test_wrong_files_are_refused_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_strata(write(tmp_path / "s.csv", text))
    with pytest.raises(UserError, match="no such file"):
        read_strata(tmp_path / "none.csv")
