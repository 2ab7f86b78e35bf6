from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from datasets_spec.readers import get_reader
from datasets_spec.sample import QuarantinedRow, RawSample
from tests.makers.corpus import mim_record, write_json

ABC = {"A": "the first eye", "B": "the second eye", "C": "neither"}


def anomalies() -> list[dict[str, Any]]:
    """One record, in our own words, of each oddity counted in the published files; all must survive."""
    a, b = "Drawn Images/12_left.jpg", "Drawn Images/12_right.jpg"
    twice = {"A": "a pale disc", "B": "a dark disc", "C": "A pale disc ", "D": "no disc"}
    return [
        mim_record([a, b], "Which eye is darker?", ABC, "B: the second eye"),
        mim_record([a, b], "What is drawn first?", twice, "A: a pale disc"),
        mim_record([a, b], "Which is it?", {"A": "one", "B": "two", "\nD": "four"}, "D: four"),
        mim_record([a, b], "Which eye is darker?", ABC, "A: the second eye"),
        mim_record([a, b], 'Is one "darker?"', {"A": "yes  ", "B": "no "}, "A: yes"),
        mim_record([a, a], "Do they differ?", {"A": "yes", "B": "no"}, "B: no  "),
        mim_record([a, b], "Some words.\n\nWhich eye?", ABC, " C: neither "),
        mim_record([a, b], "Describe both eyes.", {}, "Both are drawn in one colour."),
    ]


def read(path: Path, records: Any) -> list[RawSample | QuarantinedRow]:
    write_json(path, records)
    return list(get_reader("med_mim")(path, subset="s"))


def test_published_oddities_survive_and_are_flagged(tmp_path: Path) -> None:
    records = anomalies()
    rows = read(tmp_path / "f.json", records)
    samples = [row for row in rows if isinstance(row, RawSample)]
    assert [sample.index for sample in samples] == list(range(len(records)))
    assert [sample.flags for sample in samples] == [
        (),
        ("duplicate_options", "duplicate_gold_option"),
        ("skipped_letter",),
        ("gold_text_contradicts_option",),
        (),
        ("same_image_twice",),
        (),
        (),
    ]
    assert [sample.answer_index for sample in samples] == [1, 0, 2, 0, 0, 1, 2, -1]
    assert samples[3].answer == "the first eye"
    assert samples[4].options == ("yes", "no")
    assert samples[6].question == "Some words.\n\nWhich eye?"
    assert [sample.answer_kind for sample in samples] == ["closed"] * 7 + ["open"]
    assert samples[0].image_paths == ("Drawn Images/12_left.jpg", "Drawn Images/12_right.jpg")


def test_ids_that_repeat_do_not_merge_rows(tmp_path: Path) -> None:
    rows = read(tmp_path / "f.json", [mim_record(["a.png", "b.png"], "Which?", ABC, "A") for _ in range(3)])
    assert [row.index for row in rows] == [0, 1, 2]


def test_tags_inside_the_text_are_removed_and_flagged(tmp_path: Path) -> None:
    record = mim_record(["a.png", "b.png"], "Compare <image> with <image>.", ABC, "A", tags=0)
    (row,) = read(tmp_path / "f.json", [record])
    assert isinstance(row, RawSample)
    assert "<image>" not in row.question
    assert row.flags == ("image_tag_inside_text",)


def conversation(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"conversation": [{"role": role, "content": content} for role, content in turns]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"images": ["a.png"]}, "image_count_mismatch"),
        ({"images": []}, "image_count_mismatch"),
        ({"images": {"0": "a.png"}}, "malformed_row"),
        (conversation(("user", "<image><image>Which?")), "malformed_row"),
        (conversation(("assistant", "x"), ("user", "<image><image>q")), "malformed_row"),
        (conversation(("user", None), ("assistant", "A")), "malformed_row"),
        (conversation(("user", "<image><image>"), ("assistant", "A")), "empty_question"),
        (conversation(("user", "<image><image>Describe."), ("assistant", " ")), "empty_answer"),
        (conversation(("user", "<image><image>Q\nA: x\nB: y"), ("assistant", "E: z")), "answer_not_in_options"),
        ({"conversation": "text"}, "malformed_row"),
        ({"source": 3}, "malformed_row"),
    ],
)
def test_unusable_records_are_set_aside_with_a_reason(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    record = mim_record(["a.png", "b.png"], "Which?", ABC, "A") | change
    (row,) = read(tmp_path / "f.json", [record])
    assert isinstance(row, QuarantinedRow)
    assert row.reason == expected


PUBLISHED = os.environ.get("RECOMBINE_MED_MIM_DIR")


@dataclass(frozen=True, kw_only=True)
class Published:
    """What was counted in a published file by hand."""

    kinds: dict[str, int]
    num_options: dict[int, int]
    num_images: dict[int, int]
    gold_places: dict[str, int]
    flags: dict[str, list[int] | int]
    sources: dict[str, int]
    distinct_images: int


# Counted in the files of github.com/Xikai97/Med-MIM at c1cdc25.
COUNTED = {
    "ODIR": Published(
        kinds={"closed": 300, "open": 300},
        num_options={3: 8, 4: 292},
        num_images={2: 600},
        # 75 of each letter; the question that skips C has its gold, D, in the third place.
        gold_places={"A": 75, "B": 75, "C": 76, "D": 74},
        flags={"duplicate_options": 102, "duplicate_gold_option": 102, "skipped_letter": [62]},
        sources={
            "VQA_ODIR_instruction_multichoice_20250124": 300,
            "VQA_ODIR_instruction_conversation_20250124": 300,
        },
        distinct_images=1200,
    ),
    "RAD": Published(
        kinds={"closed": 293, "open": 73},
        num_options={3: 293},
        num_images={2: 137, 3: 229},
        gold_places={"A": 129, "B": 47, "C": 117},
        flags={
            "gold_text_contradicts_option": [119, 355],
            "same_image_twice": [10, 19, 42, 68, 132, 165, 169, 203, 269, 304, 326],
        },
        sources={"VQA_RAD_instruction_GPT4o_20250124": 293, "VQA_RAD_instruction_GPT4o_20250123": 73},
        distinct_images=285,
    ),
}


@pytest.mark.skipif(PUBLISHED is None, reason="set RECOMBINE_MED_MIM_DIR to the folder of the published files")
@pytest.mark.parametrize("name", COUNTED)
def test_published_files_give_the_published_counts(name: str) -> None:
    path = Path(PUBLISHED or "") / f"Med_MIM_benchmark_Held_out_{name}.json"
    rows = list(get_reader("med_mim")(path, subset="s"))
    assert all(isinstance(row, RawSample) for row in rows)
    samples = [row for row in rows if isinstance(row, RawSample)]
    closed = [sample for sample in samples if sample.options]
    found: dict[str, list[int]] = {}
    for sample in samples:
        for flag in sample.flags:
            found.setdefault(flag, []).append(sample.index)
    expected = COUNTED[name]
    assert Counter(sample.answer_kind for sample in samples) == expected.kinds
    assert Counter(len(sample.options) for sample in closed) == expected.num_options
    assert Counter(len(sample.image_paths) for sample in samples) == expected.num_images
    assert Counter(chr(65 + sample.answer_index) for sample in closed) == expected.gold_places
    assert Counter(sample.source for sample in samples) == expected.sources
    assert len({image for sample in samples for image in sample.image_paths}) == expected.distinct_images
    assert found.keys() == expected.flags.keys()
    for flag, indexes in expected.flags.items():
        assert indexes == (len(found[flag]) if isinstance(indexes, int) else found[flag])
