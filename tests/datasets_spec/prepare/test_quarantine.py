from __future__ import annotations

from pathlib import Path

import pytest

from datasets_spec.errors import MissingImagesError, QuarantineLimitError
from datasets_spec.prepare.quarantine import Tally, require_within_limit
from datasets_spec.sample import QuarantineReason as Reason

LIST = Path("quarantine.parquet")


def tally(read: int, **reasons: int) -> Tally:
    result = Tally(read=read, missing=["a.json row 1", "a.json row 7"])
    result.reasons.update({Reason(name): num for name, num in reasons.items()})
    return result


def test_the_limit_itself_is_allowed() -> None:
    require_within_limit({"a": tally(100, malformed_row=5)}, 0.05, LIST)
    require_within_limit({"a": tally(0)}, 0.0, LIST)


def test_copies_and_leaks_are_no_faults_and_unselected_rows_do_not_dilute_them() -> None:
    require_within_limit({"a": tally(10, duplicate_row=5, leaked_row=4)}, 0.0, LIST)
    with pytest.raises(QuarantineLimitError, match=r"a: 1 of 10 \(10.0%\): malformed_row 1"):
        require_within_limit({"a": tally(100, not_selected=90, malformed_row=1)}, 0.05, LIST)


def test_all_subsets_beyond_the_limit_are_named_with_counts() -> None:
    tallies = {"a": tally(10, malformed_row=2, image_format=1), "b": tally(10), "c": tally(10, image_truncated=9)}
    with pytest.raises(QuarantineLimitError) as caught:
        require_within_limit(tallies, 0.05, LIST)
    text = str(caught.value)
    assert "a: 3 of 10 (30.0%): malformed_row 2, image_format 1" in text
    assert "c: 9 of 10" in text
    assert "b:" not in text
    assert "quarantine.parquet" in text


def test_missing_images_are_named_with_what_to_do() -> None:
    with pytest.raises(MissingImagesError, match=r"(?s)a: a.json row 1.*image_root"):
        require_within_limit({"a": tally(10, missing_image=3, malformed_row=2)}, 0.05, LIST)
