from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
import string

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evidence.spreadsheet import FORMULA_PREFIXES
from search.report.self_contained import content_security_policy, csv_text, mark_commands, packed_json


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_survives_and_cannot_end_its_element(value: object) -> None:
    text = str(packed_json(value))
    assert json.loads(gzip.decompress(base64.b64decode(text))) == value
    assert set(text) <= set(string.ascii_letters + string.digits + "+/=")
    assert packed_json(value) == text, "without the time of day"


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        packed_json(float("nan"))


def test_the_policy_pins_each_script() -> None:
    policy = content_security_policy(["alert(1)"])
    digest = base64.b64encode(hashlib.sha256(b"alert(1)").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy
    assert "script-src 'none';" in content_security_policy([])


@given(st.lists(st.text(alphabet="=+-@\t\ra1\"',\n"), min_size=1))
def test_no_downloaded_text_is_a_formula(names: list[str]) -> None:
    text = csv_text(pd.DataFrame({"name": names, "gain": -0.5}))
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert len(rows) == len(names)
    for row in rows:
        assert not row[0].startswith(FORMULA_PREFIXES)
        assert row[1] == "-0.5", "numbers stay numbers"


def test_numbers_of_a_download_have_six_digits_and_nothing_stands_for_nothing() -> None:
    text = csv_text(pd.DataFrame({"accuracy": [0.123456789, None], "n": [1234567, 2]}))
    assert text.splitlines() == ["accuracy,n", "0.123457,1234567", ",2"]


def test_a_whole_number_of_a_download_has_all_digits_also_beside_a_missing_one() -> None:
    """A column with a missing value is one of floats: the seed 20240101 was written as 2.02401e+07."""
    text = csv_text(pd.DataFrame({"seed": [20240101, None], "accuracy": [1.0, float("inf")]}))
    assert text.splitlines() == ["seed,accuracy", "20240101,1", ",inf"]


def test_commands_in_a_sentence_are_code_and_nothing_else_is_markup() -> None:
    assert str(mark_commands("Check <b> with `recombine data check`.")) == (
        "Check &lt;b&gt; with <code>recombine data check</code>."
    )
    assert str(mark_commands("`<i>`")) == "<code>&lt;i&gt;</code>"
    assert str(mark_commands("one ` alone")) == "one ` alone"


@given(st.text())
def test_a_sentence_never_becomes_an_element(text: str) -> None:
    left = str(mark_commands(text)).replace("<code>", "").replace("</code>", "")
    assert not set("<>") & set(left)
