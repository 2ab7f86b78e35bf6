"""How large a study's samples are to the model: seen on a few rows of each partition, by its own processor."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainers.prompts.encoder import BatchEncoder, example_from_row
from trainers.rows.stored_rows import COLUMNS, Place

if TYPE_CHECKING:
    from datasets_spec.store.store import Store

NUM_SAMPLED = 64  # rows: a mean within a tenth where sizes vary by three quarters, in a few seconds of one core


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledSizes:
    """Sizes of a study's samples.

    Attributes:
        num_sampled: rows that were looked at.
        num_images: of a sample, on average over the rows that trials may read.
        image_tokens: of all images of a sample, on average.
        num_tokens: of a prompt with its answer, on average.
        most_tokens: the largest number that was seen.
        prepare_s: seconds of one core to decode and process a sample, on average.
    """

    num_sampled: int
    num_images: float
    image_tokens: float
    num_tokens: float
    most_tokens: int
    prepare_s: float

    def __str__(self) -> str:
        of_images = f"{self.image_tokens:.0f} of them of {self.num_images:.1f} image(s)"
        looked_at = f"({self.num_sampled} rows looked at)"
        return f"{self.num_tokens:.0f} tokens a sample, {of_images}, at most {self.most_tokens} {looked_at}"

    def feature_bytes(self, *, hidden_size: int, itemsize: int) -> float:
        """Return the bytes of a sample's kept vision features and tokens, on average.

        Args:
            hidden_size: of the language model.
            itemsize: bytes of one number.
        """
        return self.image_tokens * hidden_size * itemsize + 8 * self.num_tokens


def sample_sizes(
    encoder: BatchEncoder, store: Store, needed: Mapping[Place, int], *, num_rows: int = NUM_SAMPLED
) -> SampledSizes | None:
    """Encode a few rows of each partition; None where trials read no row.

    A partition's first rows are a random sample of it, for its order is drawn.

    Args:
        encoder: of the backbone.
        store: an open store.
        needed: rows of each partition that trials may read; partitions count by them.
        num_rows: to look at, at least one a partition.
    """
    places = [place for place, number in needed.items() if number]
    found: list[tuple[float, Sequence[float]]] = []
    for subset, split in places:
        number = needed[(subset, split)]
        looked_at = min(number, max(1, round(num_rows / len(places))))
        rows = store.read(subset, split, num_rows=looked_at, columns=COLUMNS).to_pylist()
        found += [(number / looked_at, _sizes_of(encoder, row)) for row in rows]
    if not found:
        return None
    whole = sum(weight for weight, _ in found)
    means = [sum(weight * sizes[i] for weight, sizes in found) / whole for i in range(4)]
    return SampledSizes(
        num_sampled=len(found),
        num_images=means[0],
        image_tokens=means[1],
        num_tokens=means[2],
        most_tokens=max(int(sizes[2]) for _, sizes in found),
        prepare_s=means[3],
    )


def _sizes_of(encoder: BatchEncoder, row: Mapping[str, object]) -> tuple[float, float, float, float]:
    """Images, image tokens, tokens and processor seconds of one row."""
    started = time.process_time()
    example = example_from_row(row)
    inputs = encoder.encode_prompts([example])
    ids = inputs["input_ids"][0]
    num_tokens = len(ids) + len(encoder.answer_ids(example))
    image_tokens = int((ids == encoder.image_token_id).sum())
    return len(example.images), image_tokens, num_tokens, time.process_time() - started
