"""A study's rows as the model takes them, encoded by one Ray Data job and shared by every slot of every node.

Trials read them from the object store without a copy.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from datasets_spec.errors import RecombineError
from trainers.backbone_spec import BackboneSpec
from trainers.rows.encoded_table import SharedSamples, encoded_table
from trainers.rows.kept_features import FeaturesNotKeptError, check_kept
from trainers.rows.row_blocks import partition_dataset, share_partitions

if TYPE_CHECKING:
    from datasets_spec.store.store import Store
    from trainers.backbone.backbone import Backbone
    from trainers.rows.encoded_samples import EncodedSample

BATCH_ROWS = 64  # rows an encoder takes at a time
CHECKED_ROWS = 8
NOT_KEPT_COLUMN = "not_kept"  # why features cannot be kept; null where they can


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


def load_encoded_rows(
    store: Store,
    partitions: Iterable[tuple[str, str]],
    spec: BackboneSpec,
    *,
    num_encoders: int,
    num_threads: int,
    gpus_per_encoder: float,
) -> EncodedBlocks:
    """Encode partitions with one Ray Data job and put one sorted table of each into the object store.

    Args:
        store: an open store.
        partitions: (subset, split) pairs; empty ones are left out.
        spec: the backbone, resolved.
        num_encoders: processes that encode side by side, each with the backbone loaded.
        num_threads: torch threads of one.
        gpus_per_encoder: of one.

    Raises:
        FeaturesNotKeptError: kept features are not the direct path's, and why.
        RecombineError: what was read is not what the manifest says.
    """
    import pyarrow as pa
    import ray

    wanted = sorted({p for p in partitions if store.count(*p)})
    # One task a process: each loads the backbone.
    dataset = partition_dataset(store, wanted, min(len(wanted), num_encoders))
    encoded = dataset.map_batches(
        encode_rows,
        fn_kwargs={"spec": spec, "num_threads": num_threads},
        num_gpus=gpus_per_encoder or None,
        batch_size=BATCH_ROWS,
        batch_format="pyarrow",
    )
    blocks = ray.get(encoded.materialize().to_arrow_refs())
    table = pa.concat_tables([b for b in blocks if b.num_rows], promote_options="permissive")
    if reasons := table[NOT_KEPT_COLUMN].drop_null().unique().to_pylist():
        raise FeaturesNotKeptError(reasons[0])
    return EncodedBlocks(refs=share_partitions(store, wanted, table.drop_columns(NOT_KEPT_COLUMN)))


def encode_rows(rows: Any, *, spec: BackboneSpec, num_threads: int) -> Any:
    """Return the encoded table of a table of rows; one task's work of the Ray Data job.

    The first batch of a process is checked against the direct path. Where features cannot be kept the column
    `NOT_KEPT_COLUMN` says why, of every row, and nothing is encoded: an exception would reach the driver as Ray's own.

    Args:
        rows: Arrow table of stored rows.
        spec: the backbone, resolved.
        num_threads: torch threads.
    """
    import pyarrow as pa

    from trainers.prompts.encoder import example_from_row
    from trainers.rows.encoded_samples import encode_samples, prompt_batch

    backbone, verdicts = _loaded(spec, num_threads)
    samples: Sequence[EncodedSample | None] = [None] * rows.num_rows
    if rows.num_rows and verdicts in ([], [None]):
        examples = [example_from_row(row) for row in rows.to_pylist()]
        try:
            encoded = encode_samples(backbone, examples, with_features=True)
            if not verdicts:
                check_kept(backbone, examples[:CHECKED_ROWS], prompt_batch(backbone, encoded[:CHECKED_ROWS]))
                verdicts.append(None)
            samples = encoded
        except FeaturesNotKeptError as error:
            verdicts[:] = [str(error)]
    reason = verdicts[0] if verdicts else None
    return encoded_table(rows, samples).append_column(NOT_KEPT_COLUMN, pa.array([reason] * rows.num_rows, pa.string()))


@functools.lru_cache(maxsize=1)
def _loaded(spec: BackboneSpec, num_threads: int) -> tuple[Backbone, list[str | None]]:
    """The backbone of this process, and what its check said, once it was made: a process encodes many batches."""
    import torch

    from trainers.backbone.backbone import load_backbone

    torch.set_num_threads(num_threads)
    return load_backbone(spec), []


def estimated_feature_bytes(spec: BackboneSpec) -> int:
    """Return about how many bytes one image's features take, from the backbone's configuration alone."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(
        spec.location(), revision=spec.revision, trust_remote_code=spec.trust_remote_code
    )
    tokens = int(getattr(config, "image_seq_length", None) or 1024)  # families with tiles or free sizes: about this
    width = int(config.get_text_config().hidden_size)
    return tokens * width * (4 if spec.dtype == "float32" else 2)
