"""Whatever a file holds, a row is stored or has a reason, a file is read or refused by name, soon and in words."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datasets_spec.prepare.inputs import SubsetSource
from datasets_spec.sample import QuarantineReason
from tests.datasets_spec.prepare.bad_files import ALL, GOOD, BadFile
from tests.makers.corpus import save_picture
from tests.makers.staging import finished_rows

MAX_CPU_S = 2.0


def staged(case: BadFile, root: Path) -> list[dict[str, Any]]:
    """Reads a file, opens its images and finishes its rows, as Ray's workers do."""
    source = SubsetSource(
        format=case.format,
        image_root=str(root),
        answer_kind="any",
        source_pattern=None,
        group_pattern=None,
        namespace="s",
    )
    files = pa.table({"subset": ["s"], "role": ["pool"], "file": [case.file], "path": [str(root / case.file)]})
    return finished_rows(root, files, {"s": source})


def test_there_are_enough_of_them() -> None:
    assert len(ALL) >= 300
    assert len({case.name for case in ALL}) == len(ALL)


@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
def test_every_broken_file_ends_with_a_reason(case: BadFile, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    save_picture(root / GOOD, 7)
    case.write(root)
    # Processor time: the clock would blame the file for a busy machine. What waits for ever meets the timeout.
    start = time.process_time()
    rows = staged(case, root)
    assert time.process_time() - start < MAX_CPU_S
    failures = [row["failure"] for row in rows if row["failure"] is not None]
    if case.reasons is None:
        assert len(failures) == 1
        assert case.file in failures[0]
        assert "Traceback" not in failures[0]
        return
    assert failures == []
    assert [row["index"] for row in rows] == list(range(len(case.reasons)))
    for row, expected in zip(rows, case.reasons, strict=True):
        if expected == "*":
            assert row["reason"] in set(QuarantineReason)
        else:
            assert row["reason"] == expected
