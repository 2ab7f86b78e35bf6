"""Sizes of samples are seen, not assumed."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pytest

from tests.makers.families import tiny_backbone, toy_row
from trainers.prompts.encoder import example_from_row
from trainers.rows.encoded_samples import encode_samples, num_image_tokens
from trainers.rows.sampled_sizes import sample_sizes


class FewRows:
    """A store of two partitions: small images, and pairs of large ones."""

    tables: ClassVar = {
        ("a", "train"): [toy_row(i, height_px=28) for i in range(4)],
        ("b", "search"): [toy_row(i, num_images=2) for i in range(10, 14)],
    }

    def __init__(self) -> None:
        self.num_read = 0

    def read(self, subset: str, split: str, *, num_rows: int, columns: Any) -> pa.Table:
        self.num_read += num_rows
        return pa.Table.from_pylist(self.tables[(subset, split)][:num_rows])


@pytest.mark.parametrize("family", ["llava", "qwen2_vl", "idefics3"])
def test_partitions_count_by_the_rows_that_are_read_of_them(family: str) -> None:
    backbone, store = tiny_backbone(family), FewRows()
    needed = {("a", "train"): 300, ("b", "search"): 100, ("c", "train"): 0}
    sizes = sample_sizes(backbone.encoder, store, needed, num_rows=6)  # type: ignore[arg-type]
    assert sizes is not None
    assert store.num_read == sizes.num_sampled == 6
    small, large = (
        encode_samples(backbone, [example_from_row(FewRows.tables[place][0])], with_features=True)[0]
        for place in FewRows.tables
    )
    assert sizes.num_images == pytest.approx(1.25)
    assert sizes.image_tokens == pytest.approx(
        0.75 * num_image_tokens(backbone, small) + 0.25 * num_image_tokens(backbone, large)
    )
    assert sizes.num_tokens == pytest.approx(0.75 * small.num_tokens + 0.25 * large.num_tokens)
    assert sizes.most_tokens == large.num_tokens
    kept = [sample.features.numel() * 4 + 8 * sample.num_tokens for sample in (small, large)]  # type: ignore[union-attr]
    hidden = backbone.model.config.get_text_config().hidden_size
    assert sizes.feature_bytes(hidden_size=hidden, itemsize=4) == pytest.approx(0.75 * kept[0] + 0.25 * kept[1])


def test_without_rows_there_is_nothing_to_see() -> None:
    assert sample_sizes(tiny_backbone("llava").encoder, FewRows(), {("a", "train"): 0}) is None  # type: ignore[arg-type]
