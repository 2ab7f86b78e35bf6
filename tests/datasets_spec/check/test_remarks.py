from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from datasets_spec.check.remarks import MOST_OF_A_KIND, Remark, folded

REMARKS = st.lists(
    st.builds(
        Remark,
        subset=st.sampled_from(["a", "b", "c", "d", "e"]),
        text=st.sampled_from(["says", "means"]),
        kind=st.sampled_from(["", "odd"]),
    )
)


def test_thirty_lines_of_one_kind_are_one_with_a_count() -> None:
    remarks = [Remark(subset=f"s{number}", text=f"{number} are odd", kind="odd") for number in range(30)]
    remarks.insert(1, Remark(subset="t", text="no licence"))
    assert folded(remarks) == ["s0: 0 are odd (30 such lines; the others: s1, s2, s3, ...)", "t: no licence"]


def test_a_few_lines_stay_as_they_are() -> None:
    remarks = [Remark(subset="s", text=text) for text in ("a", "b", "b", "b")]
    assert folded(remarks) == list(map(str, remarks))


@given(REMARKS)
def test_no_remark_is_lost_from_the_count(remarks: list[Remark]) -> None:
    lines = folded(remarks)
    counted = sum(int(line.split("(")[1].split()[0]) if "(" in line else 1 for line in lines)
    assert counted == len(remarks)
    kinds = {remark.kind or remark.text for remark in remarks}
    assert len(lines) <= MOST_OF_A_KIND * len(kinds)
