"""A study's rows as the model takes them, encoded by one Ray Data job and shared by every slot of every node.

Trials read them from the object store without a copy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, overload

from datasets_spec.errors import RecombineError
from trainers.backbone_spec import BackboneSpec
from trainers.rows.row_blocks import COLUMNS, share_partitions

if TYPE_CHECKING:
    from datasets_spec.store.store import Store
    from trainers.backbone.backbone import Backbone
    from trainers.rows.encoded_samples import EncodedSample

# What scoring asks of a question, and where it stands.
QUESTION_COLUMNS = ("subset", "split", "order", "sample_id", "options", "answer_index", "answer_kind", "answer")
BATCH_ROWS = 64  # rows an encoder takes at a time
CHECKED_ROWS = 8
FLOAT_TOLERANCE = 1e-3  # of log-probabilities, kept against direct inputs; float32 on one thread is exact (measured)
HALF_TOLERANCE = 0.05  # the same in bfloat16, which has 8 bits


class SampleRows(Protocol):
    """Where a slot finds encoded samples."""

    def samples(self, subset: str, split: str, num_rows: int | None = None) -> Sequence[EncodedSample]:
        """Return the first `num_rows` samples of a partition in their order; all when None."""
        ...


@dataclass(frozen=True, kw_only=True)
class EncodedBlocks:
    """References to encoded tables in Ray's object store, one for each (subset, split), sorted by order.

    Attributes:
        refs: of Arrow tables with the columns of `encoded_table`.
    """

    refs: Mapping[tuple[str, str], Any]
    _opened: dict[tuple[str, str], SharedSamples] = field(default_factory=dict, compare=False)

    def samples(self, subset: str, split: str, num_rows: int | None = None) -> Sequence[EncodedSample]:
        """Return the first `num_rows` samples of a partition.

        Raises:
            RecombineError: the partition was not loaded or is shorter than asked for.
        """
        import ray

        place = (subset, split)
        if place not in self.refs:
            raise RecombineError(f"rows of {subset}/{split} were not loaded for this study")
        if place not in self._opened:
            self._opened[place] = SharedSamples(ray.get(self.refs[place]))
        return first_rows(self._opened[place], num_rows, f"{subset}/{split}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _encoded_blocks, (dict(self.refs),)


def _encoded_blocks(refs: Mapping[tuple[str, str], Any]) -> EncodedBlocks:
    return EncodedBlocks(refs=refs)


class SharedSamples(Sequence["EncodedSample"]):
    """Samples of an encoded Arrow table; tensors look into its memory. What was opened stays open."""

    def __init__(self, table: Any) -> None:
        self._table = table.combine_chunks()
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


def first_rows(samples: Sequence[EncodedSample], num_rows: int | None, name: str) -> Sequence[EncodedSample]:
    """Return the first samples, all when None.

    Raises:
        RecombineError: there are fewer.
    """
    if num_rows is None:
        return samples
    if len(samples) < num_rows:
        raise RecombineError(f"{name} has {len(samples)} rows, {num_rows} were asked for")
    return samples[:num_rows]


def encoded_table(rows: Any, samples: Sequence[EncodedSample]) -> Any:
    """Return an Arrow table of encoded samples: what scoring asks of a question, and tensors as bytes.

    Args:
        rows: the Arrow table that they were made from.
        samples: in the order of its rows.
    """
    import pyarrow as pa

    tensors = [[_to_bytes(name, t) for name, t in _tensors(sample).items()] for sample in samples]
    kept = rows.select(list(QUESTION_COLUMNS))
    return kept.append_column("tensors", pa.array(tensors, _tensor_list()))


def load_encoded_rows(
    store: Store,
    partitions: Iterable[tuple[str, str]],
    spec: BackboneSpec,
    *,
    with_features: bool,
    num_encoders: int,
    num_threads: int,
    gpus_per_encoder: float,
) -> EncodedBlocks:
    """Encode partitions with one Ray Data job and put one sorted table of each into the object store.

    Args:
        store: an open store.
        partitions: (subset, split) pairs; empty ones are left out.
        spec: the backbone, resolved.
        with_features: keep vision features instead of pixels.
        num_encoders: processes that encode side by side, each with the backbone loaded.
        num_threads: torch threads of one.
        gpus_per_encoder: of one.

    Raises:
        RecombineError: what was read is not what the manifest says, or kept features are not the direct path's.
    """
    import pyarrow as pa
    import ray

    wanted = sorted({p for p in partitions if store.count(*p)})
    files = [file for subset, split in wanted for file in store.files(subset, split)]
    dataset = ray.data.read_parquet(
        files,
        columns=list(COLUMNS),
        file_extensions=None,
        partitioning=None,
        override_num_blocks=min(len(files), num_encoders),  # one task a process: each loads the backbone
    )
    encoded = dataset.map_batches(
        encode_rows,
        fn_kwargs={"spec": spec, "with_features": with_features, "num_threads": num_threads},
        num_gpus=gpus_per_encoder or None,
        batch_size=BATCH_ROWS,
        batch_format="pyarrow",
    )
    blocks = ray.get(encoded.materialize().to_arrow_refs())
    table = pa.concat_tables([b for b in blocks if b.num_rows], promote_options="permissive")
    return EncodedBlocks(refs=share_partitions(store, wanted, table))


def encode_rows(rows: Any, *, spec: BackboneSpec, with_features: bool, num_threads: int) -> Any:
    """Return the encoded table of a table of rows; one task's work of the Ray Data job.

    The first batch of a process is checked against the direct path.

    Args:
        rows: Arrow table of stored rows.
        spec: the backbone, resolved.
        with_features: keep vision features instead of pixels.
        num_threads: torch threads.

    Raises:
        RecombineError: kept inputs give other answers than direct ones.
    """
    from trainers.prompts.encoder import example_from_row
    from trainers.rows.encoded_samples import encode_samples

    backbone, checked = _loaded(spec, num_threads)
    examples = [example_from_row(row) for row in rows.to_pylist()]
    samples = encode_samples(backbone, examples, with_features=with_features)
    if not checked and examples:
        _check_kept(backbone, examples[:CHECKED_ROWS], samples[:CHECKED_ROWS])
        checked.append(True)
    return encoded_table(rows, samples)


@functools.lru_cache(maxsize=1)
def _loaded(spec: BackboneSpec, num_threads: int) -> tuple[Backbone, list[bool]]:
    """The backbone of this process, and a mark once it was checked: a process encodes many batches."""
    import torch

    from trainers.backbone.backbone import load_backbone

    torch.set_num_threads(num_threads)
    return load_backbone(spec), []


def _check_kept(backbone: Backbone, examples: Sequence[Any], samples: Sequence[EncodedSample]) -> None:
    from trainers.rows.encoded_samples import difference_from_direct

    difference = difference_from_direct(backbone, examples, samples)
    tolerance = FLOAT_TOLERANCE if str(backbone.dtype) == "torch.float32" else HALF_TOLERANCE
    if not difference <= tolerance:
        raise RecombineError(
            f"kept vision features change log-probabilities by {difference:.2g} (at most {tolerance:g} may); "
            "set execution.vision_features: false"
        )


def estimated_feature_bytes(spec: BackboneSpec) -> int:
    """Return about how many bytes one image's features take, from the backbone's configuration alone."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        spec.location(), revision=spec.revision, trust_remote_code=spec.trust_remote_code
    )
    tokens = int(getattr(config, "image_seq_length", None) or 1024)  # families with tiles or free sizes: about this
    width = int(config.get_text_config().hidden_size)
    return tokens * width * (4 if spec.dtype == "float32" else 2)


def _tensor_list() -> Any:
    import pyarrow as pa

    fields = [("name", pa.string()), ("dtype", pa.string()), ("shape", pa.list_(pa.int64())), ("data", pa.binary())]
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
