from __future__ import annotations

from typing import Any

import pytest

from datasets_spec.errors import UserError
from search.phases.run_study import check_not_extended


def test_a_search_goes_on_only_before_its_confirmation() -> None:
    records: list[dict[str, Any]] = [{"kind": "suggestion"}, {"kind": "trial"}]
    check_not_extended(records, 40)
    records.append({"kind": "confirm_started", "num_trials": 12})
    check_not_extended(records, 12)
    with pytest.raises(UserError, match="was 12 when the best were confirmed, is 40"):
        check_not_extended(records, 40)
