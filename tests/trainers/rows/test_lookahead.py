"""Samples that are prepared ahead are the same, in the same order, and each of them is prepared once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.makers.families import FAMILIES, tiny_backbone, toy_row
from trainers.backbone.backbone import Backbone
from trainers.prompts.encoder import BatchEncoder, Example
from trainers.recipe import Recipe
from trainers.rows import feeds
from trainers.rows.encoded_samples import EncodedSample, encode_one
from trainers.rows.feeds import DirectFeed
from trainers.rows.lookahead import AHEAD, Lookahead
from trainers.scoring.scorer import score_adapters
from trainers.training.packed_loop import Member, Pack

WAIT_S = 60.0


class Numbers:
    """A feed of numbers that notes who took what."""

    def __init__(self, *, is_prepared_late: bool = True, broken: int | None = None) -> None:
        self.is_prepared_late = is_prepared_late
        self.broken = broken
        self.taken: list[int] = []
        self.threads: set[int] = set()
        self.has_taken = threading.Condition()

    def take(self, indices: Iterable[int]) -> list[int]:
        places = list(indices)
        with self.has_taken:
            self.taken += places
            self.threads.add(threading.get_ident())
            self.has_taken.notify_all()
        if self.broken in places:
            raise ValueError(f"row {self.broken} is broken")
        return places

    def wait_for(self, number: int) -> bool:
        with self.has_taken:
            return self.has_taken.wait_for(lambda: len(self.taken) >= number, timeout=WAIT_S)


def ahead(feed: Any, order: Iterable[int]) -> Lookahead:
    return Lookahead(feed, order, num_threads=2)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 99), max_size=60), st.lists(st.integers(1, 9), max_size=12), st.booleans())
def test_samples_come_in_their_order_once_each(order: list[int], sizes: list[int], is_late: bool) -> None:
    feed = Numbers(is_prepared_late=is_late)
    samples = ahead(feed, order)
    found = [number for size in sizes for number in samples.take(size)]
    samples.close()
    assert found == order[: sum(sizes)]
    assert len(feed.taken) <= len(order)


def test_the_next_ones_are_prepared_before_they_are_asked_for_and_not_all() -> None:
    feed = Numbers()
    samples = ahead(feed, range(1000))
    assert samples.take(2) == [0, 1]
    assert feed.wait_for(2 + AHEAD)
    assert threading.get_ident() not in feed.threads
    assert samples.take(1) == [2]
    assert feed.wait_for(3 + AHEAD)
    samples.close()
    assert samples.take(3) == []
    assert sorted(feed.taken) == list(range(3 + AHEAD))


def test_what_was_encoded_before_needs_no_thread() -> None:
    feed = Numbers(is_prepared_late=False)
    assert ahead(feed, range(9)).take(3) == [0, 1, 2]
    assert feed.taken == [0, 1, 2]
    assert feed.threads == {threading.get_ident()}


def test_an_error_is_raised_for_the_samples_that_it_belongs_to() -> None:
    samples = ahead(Numbers(broken=3), range(9))
    assert samples.take(3) == [0, 1, 2]
    with pytest.raises(ValueError, match="row 3 is broken"):
        samples.take(2)
    samples.close()


def counted_encodings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each sample was processed."""
    times: Counter[str] = Counter()

    def count(encoder: BatchEncoder, example: Example) -> EncodedSample:
        times[example.sample_id] += 1
        return encode_one(encoder, example)

    monkeypatch.setattr(feeds, "encode_one", count)
    return times


def rows_feed(backbone: Backbone, num_rows: int) -> DirectFeed:
    return DirectFeed(backbone.encoder, pa.Table.from_pylist([toy_row(i) for i in range(num_rows)]))


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_threads_prepare_what_one_alone_would(family: str) -> None:
    backbone = tiny_backbone(family)
    feed = rows_feed(backbone, 6)
    samples = ahead(feed, range(6))
    found = [sample for _ in range(3) for sample in samples.take(2)]
    assert backbone.encoder.for_this_thread() is backbone.encoder
    for mine, theirs in zip(found, feed.take(range(6)), strict=True):
        assert torch.equal(mine.prompt_ids, theirs.prompt_ids)
        assert all(torch.equal(mine.image_tensors[name], value) for name, value in theirs.image_tensors.items())


def test_every_image_is_processed_once_a_scoring_and_once_a_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = tiny_backbone("llava")
    times = counted_encodings(monkeypatch)
    recipe = Recipe(num_steps=2, batch_size=3, micro_batch_size=2, lora_rank=2)
    members = [Member(recipe=recipe, feed=rows_feed(backbone, 6), seed=seed) for seed in range(3)]
    pack = Pack(backbone, members)
    pack.advance(2)  # six samples: every row once a member
    assert set(times.values()) == {len(members)}
    times.clear()
    with pack.scoring(members) as model:
        score_adapters(
            model, backbone.encoder, rows_feed(backbone, 5), num_adapters=3, eval_set="t", split="confirm",
            batch_size=2, generate=True,
        )  # fmt: skip
    assert times == {toy_row(i)["sample_id"]: 1 for i in range(5)}  # for three adapters, by letter and in writing
