import json
import shutil
from pathlib import Path

import pytest

from datasets_spec.errors import UserError
from search.cli.phantom import _default_bases, measure_evidence
from trainers.backbone_spec import PHANTOM_DIR


def test_bases_that_are_missing_or_the_same_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(PHANTOM_DIR, copy)
    with pytest.raises(UserError, match="holds no backbone") as caught:
        measure_evidence(tmp_path / "out", [tmp_path], num_seeds=1, num_table_seeds=0, num_workers=1)
    assert "build-base" in str(caught.value.hint)
    with pytest.raises(UserError, match="are the same backbone"):
        measure_evidence(tmp_path / "out", [PHANTOM_DIR, copy], num_seeds=1, num_table_seeds=0, num_workers=1)
    assert not (tmp_path / "out").exists()


def test_default_bases_are_the_shipped_one_and_two_other_seeds(tmp_path: Path) -> None:
    shipped = json.loads((PHANTOM_DIR / "build.json").read_text())["seed"]
    others = [seed for seed in range(3) if seed != shipped]
    for seed in others:  # built before: they are not built again
        (tmp_path / f"seed-{seed}").mkdir()
        (tmp_path / f"seed-{seed}" / "build.json").write_text("{}")
    assert _default_bases(tmp_path, 2) == [PHANTOM_DIR, *(tmp_path / f"seed-{seed}" for seed in others)]
