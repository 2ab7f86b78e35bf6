from __future__ import annotations

import subprocess
import sys

from datasets_spec.sample import ARROW_SCHEMA, SPLITS, option_groups, sample_id


def test_options_that_read_alike_are_one_option() -> None:
    assert option_groups(["Cyst", "stone", " cyst ", "Stone  ", "tumor"]) == [0, 1, 0, 1, 4]


def test_names_and_splits_are_what_other_rooms_rely_on() -> None:
    assert SPLITS == ("train", "search", "confirm", "sealed")
    assert sample_id("ct-lung", "Subset--03-train", 7) == "ct-lung/Subset--03-train#7"
    assert ARROW_SCHEMA.names == [
        *("sample_id", "subset", "split", "order", "question", "options", "answer", "answer_index"),
        *("answer_kind", "label", "images", "image_hashes", "group", "row_hash", "flags"),
    ]


def test_specs_are_imported_without_the_heavy_libraries() -> None:
    code = (
        "import sys, datasets_spec.catalog.catalog, datasets_spec.store.store, datasets_spec.prepare.prepare_store;"
        "import datasets_spec.check.blind_rules;"
        "print(sorted({'ray', 'torch', 'pyarrow', 'PIL', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
