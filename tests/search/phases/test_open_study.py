from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.errors import UserError
from search.phases.open_study import require_rows
from tests.makers.study_fixture import open_study, write_store


def test_too_few_rows_are_all_named_before_the_study_starts(tmp_path: Path) -> None:
    study = open_study(tmp_path)
    require_rows(study, write_store(study).count)
    store = write_store(study, {"ct-lung/train": 7, "mr-brain/train": 0, "mr-lung/confirm": 0, "us-heart/search": 0})
    with pytest.raises(UserError) as caught:
        require_rows(study, store.count)
    lines = caught.value.message.splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["source ct-lung", "source mr-brain", "target mr-lung"]
