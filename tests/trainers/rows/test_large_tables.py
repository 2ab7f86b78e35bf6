"""Images and features of more than 2 GiB; here the bytes of one buffer many times over, so that they take little."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.makers.families import tiny_backbone, toy_row
from trainers.prompts.encoder import example_from_row
from trainers.rows import feeds
from trainers.rows.encoded_samples import encode_samples
from trainers.rows.encoded_table import SharedSamples, encoded_table
from trainers.rows.feeds import DirectFeed
from trainers.rows.shared_blocks import Piece, in_order, runs_of

IMAGE_BYTES = 64 * 2**20
NUM_ROWS = 40  # 2.5 GiB as Arrow counts
ALLOWED_BYTES = 4 * 2**20  # a copy of one image would show


def large_table(orders: list[int]) -> pa.Table:
    """A chunk a row, every one with an image of the same 64 MiB."""
    image = pa.array([[b"\0" * IMAGE_BYTES]], pa.list_(pa.binary()))
    return pa.table(
        {
            "subset": pa.chunked_array([["a"] for _ in orders]),
            "split": pa.chunked_array([["train"] for _ in orders]),
            "order": pa.chunked_array([pa.array([order], pa.int64()) for order in orders]),
            "images": pa.chunked_array([image for _ in orders]),
        }
    )


def partition_of(table: pa.Table, subset: str, split: str) -> pa.Table:
    """The rows of a partition by the stretches that are found in a block."""
    runs = [run for run in runs_of(table) if run[0] == (subset, split)]
    found = [(place, first, Piece(block=None, num_rows=number, offset=offset)) for place, first, number, offset in runs]
    place = (subset, split)
    pieces = in_order(found, {place: sum(piece.num_rows for _, _, piece in found)})[place]
    parts = [table.slice(piece.offset, piece.num_rows) for piece in pieces]
    return pa.concat_tables(parts) if parts else table.slice(0, 0)


def test_two_gigabytes_of_images_are_put_in_order_without_a_copy() -> None:
    orders = [(7 * i) % NUM_ROWS for i in range(NUM_ROWS)]
    table = large_table(orders)
    assert table["images"].nbytes > 2**31
    before = pa.total_allocated_bytes()
    part = partition_of(table, "a", "train")
    assert pa.total_allocated_bytes() - before < ALLOWED_BYTES
    assert part["order"].to_pylist() == list(range(NUM_ROWS))
    assert part["images"].nbytes == table["images"].nbytes


def test_a_feed_takes_rows_from_behind_two_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "example_from_row", lambda row: (row["order"], len(row["images"][0])))
    monkeypatch.setattr(feeds, "encode_one", lambda encoder, example: example)
    feed = DirectFeed(tiny_backbone("llava").encoder, large_table(list(range(NUM_ROWS))))
    before = pa.total_allocated_bytes()
    taken: list[Any] = feed.take([NUM_ROWS - 1, 0])
    assert pa.total_allocated_bytes() - before < ALLOWED_BYTES
    assert taken == [(NUM_ROWS - 1, IMAGE_BYTES), (0, IMAGE_BYTES)]


def test_encoded_samples_are_opened_from_behind_two_gigabytes() -> None:
    backbone = tiny_backbone("llava")
    rows = [toy_row(i) for i in range(2)]
    samples = encode_samples(backbone, [example_from_row(row) for row in rows], with_features=True)
    samples[0] = replace(samples[0], features=torch.zeros(IMAGE_BYTES // 4))
    table = encoded_table(pa.Table.from_pylist(rows), samples)
    large = pa.concat_tables([*[table.slice(0, 1)] * NUM_ROWS, table.slice(1, 1)])
    before = pa.total_allocated_bytes()
    opened = SharedSamples(large)
    last = opened[NUM_ROWS]
    assert pa.total_allocated_bytes() - before < ALLOWED_BYTES
    assert torch.equal(last.prompt_ids, samples[1].prompt_ids)
    assert len(opened) == NUM_ROWS + 1


@given(
    st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["train", "search"]))), min_size=1, max_size=5
    ).filter(lambda chunks: any(chunks)),
    st.randoms(use_true_random=False),
)
def test_partitions_are_those_of_filter_and_sort(chunks: list[list[tuple[str, str]]], drawn: Any) -> None:
    orders = list(range(sum(map(len, chunks))))
    drawn.shuffle(orders)
    given_orders = iter(orders)
    schema = pa.schema({"subset": pa.string(), "split": pa.string(), "order": pa.int64()})
    table = pa.concat_tables(
        pa.Table.from_pylist([{"subset": a, "split": b, "order": next(given_orders)} for a, b in chunk], schema=schema)
        for chunk in chunks
    )
    for subset in "ab":
        wanted = sorted(row["order"] for row in table.to_pylist() if (row["subset"], row["split"]) == (subset, "train"))
        found = partition_of(table, subset, "train")
        assert found["order"].to_pylist() == wanted
        assert set(found["subset"].to_pylist()) <= {subset}
