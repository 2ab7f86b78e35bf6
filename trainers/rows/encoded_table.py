"""Encoded samples as an Arrow table, and back without a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from trainers.rows.encoded_samples import EncodedSample

# What scoring asks of a question, and where it stands.
QUESTION_COLUMNS = ("subset", "split", "order", "sample_id", "options", "answer_index", "answer_kind", "answer")


def encoded_table(rows: Any, samples: Sequence[EncodedSample | None]) -> Any:
    """Return an Arrow table of encoded samples: what scoring asks of a question, and tensors as bytes.

    Args:
        rows: the Arrow table that they were made from.
        samples: in the order of its rows; None where a row was not encoded.
    """
    import pyarrow as pa

    tensors = [[_to_bytes(name, t) for name, t in _tensors(sample).items()] if sample else [] for sample in samples]
    kept = rows.select(list(QUESTION_COLUMNS))
    return kept.append_column("tensors", pa.array(tensors, _tensor_list()))


class SharedSamples(Sequence["EncodedSample"]):
    """Samples of an encoded Arrow table; tensors look into its memory. What was opened stays open."""

    def __init__(self, table: Any) -> None:
        self._table = table  # in the chunks that it came in: joining them would copy them out of shared memory
        self._known: dict[int, EncodedSample] = {}

    def __len__(self) -> int:
        return int(self._table.num_rows)

    @overload
    def __getitem__(self, index: int) -> EncodedSample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[EncodedSample]: ...

    def __getitem__(self, index: int | slice) -> EncodedSample | Sequence[EncodedSample]:
        if isinstance(index, slice):
            return [self._make(i) for i in range(*index.indices(len(self)))]
        return self._make(index)

    def _make(self, index: int) -> EncodedSample:
        if index not in self._known:
            self._known[index] = _open_sample(self._table, index)
        return self._known[index]


def _tensor_list() -> Any:
    import pyarrow as pa

    # Features of 64 questions may take more than the 2 GiB that offsets of 32 bits reach.
    data = pa.large_binary()
    fields = [("name", pa.string()), ("dtype", pa.string()), ("shape", pa.list_(pa.int64())), ("data", data)]
    return pa.list_(pa.struct(fields))


def _tensors(sample: EncodedSample) -> dict[str, Any]:
    named = {"prompt_ids": sample.prompt_ids, "answer_ids": sample.answer_ids}
    named |= {f"aligned.{n}": t for n, t in sample.aligned.items()}
    named |= {f"images.{n}": t for n, t in sample.image_tensors.items()}
    return named if sample.features is None else named | {"features": sample.features}


def _to_bytes(name: str, tensor: Any) -> dict[str, Any]:
    import torch

    plain = tensor.detach().cpu().contiguous()
    data = plain.flatten().view(torch.uint8).numpy().tobytes() if plain.numel() else b""
    return {"name": name, "dtype": str(plain.dtype).removeprefix("torch."), "shape": list(plain.shape), "data": data}


def _open_sample(table: Any, index: int) -> EncodedSample:
    from trainers.prompts.encoder import Example
    from trainers.rows.encoded_samples import EncodedSample

    tensors = {entry["name"].as_py(): _from_bytes(entry) for entry in table["tensors"][index]}
    example = Example(
        sample_id=table["sample_id"][index].as_py(),
        subset=table["subset"][index].as_py(),
        prompt="",
        options=tuple(table["options"][index].as_py()),
        answer_index=table["answer_index"][index].as_py(),
        answer=table["answer"][index].as_py(),
        images=(),
        is_box=table["answer_kind"][index].as_py() == "box",
    )
    return EncodedSample(
        example=example,
        prompt_ids=tensors["prompt_ids"],
        answer_ids=tensors["answer_ids"],
        aligned={n.removeprefix("aligned."): t for n, t in tensors.items() if n.startswith("aligned.")},
        image_tensors={n.removeprefix("images."): t for n, t in tensors.items() if n.startswith("images.")},
        features=tensors.get("features"),
    )


def _from_bytes(entry: Any) -> Any:
    """A tensor over the table's own memory; it is only ever read."""
    import warnings

    import torch

    dtype, shape = getattr(torch, entry["dtype"].as_py()), entry["shape"].as_py()
    data = entry["data"].as_buffer()
    if not data.size:
        return torch.empty(shape, dtype=dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given buffer is not writable")
        return torch.frombuffer(data, dtype=dtype).view(shape)
