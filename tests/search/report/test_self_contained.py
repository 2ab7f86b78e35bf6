from __future__ import annotations

import base64
import csv
import hashlib
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.evidence.spreadsheet import FORMULA_PREFIXES
from search.report.self_contained import content_security_policy, csv_download, mark_commands, script_json


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_survives_and_cannot_end_its_element(value: object) -> None:
    text = str(script_json(value))
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        script_json(float("nan"))


def test_the_policy_pins_each_script() -> None:
    policy = content_security_policy(["alert(1)"])
    digest = base64.b64encode(hashlib.sha256(b"alert(1)").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy


@given(st.lists(st.text(alphabet="=+-@\t\ra1\"',\n"), min_size=1))
def test_no_downloaded_text_is_a_formula(names: list[str]) -> None:
    address = csv_download(pd.DataFrame({"name": names, "gain": -0.5}))
    text = base64.b64decode(address.removeprefix("data:text/csv;base64,")).decode()
    rows = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert len(rows) == len(names)
    for row in rows:
        assert not row[0].startswith(FORMULA_PREFIXES)
        assert row[1] == "-0.5", "numbers stay numbers"


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
