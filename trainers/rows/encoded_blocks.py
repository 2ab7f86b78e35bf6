"""A study's rows as the model takes them, encoded by one Ray Data job and shared by every slot of every node.

Trials read them from the object store without a copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from datasets_spec.errors import RecombineError, UserError
from trainers.backbone_spec import BackboneSpec
from trainers.rows.encoded_table import SharedSamples, encoded_table
from trainers.rows.kept_features import FeaturesNotKeptError, check_kept
from trainers.rows.shared_blocks import Piece, index_blocks, num_away, read_pieces
from trainers.rows.stored_rows import COLUMNS, Place

if TYPE_CHECKING:
    from datasets_spec.store.store import Store
    from trainers.backbone.backbone import Backbone
    from trainers.rows.encoded_samples import EncodedSample

BATCH_ROWS = 64  # rows an encoder takes at a time
CHECKED_ROWS = 8
NOT_KEPT_COLUMN = "not_kept"  # why features cannot be kept; null where they can
# Rows that travel together: half of what Ray Data takes for a block (128 MiB), so that it never has to cut one.
BLOCK_BYTES = 64 * 2**20
ENCODER_CPUS = READER_CPUS = 0.5  # of Ray's count: whoever reads the rows must find room beside the encoders


class SampleRows(Protocol):
    """Where a slot finds encoded samples."""

    def samples(self, subset: str, split: str, num_rows: int | None = None) -> Sequence[EncodedSample]:
        """Return the first `num_rows` samples of a partition in their order; all when None."""
        ...


@dataclass(frozen=True, kw_only=True)
class EncodedBlocks:
    """Encoded tables in Ray's object store, by (subset, split), in the order of the partition.

    Attributes:
        parts: pieces of Arrow tables with the columns of `encoded_table`.
        on_wait: called now and then while rows are brought here; may raise to stop. It does not travel.
    """

    parts: Mapping[Place, Sequence[Piece]]
    on_wait: Callable[[], None] = lambda: None
    _opened: dict[Place, SharedSamples] = field(default_factory=dict, compare=False)

    def samples(self, subset: str, split: str, num_rows: int | None = None) -> Sequence[EncodedSample]:
        """Return the first `num_rows` samples of a partition.

        Raises:
            RecombineError: the partition was not loaded or is shorter than asked for.
            RowsAwayError: a node took some of them with it, and nobody has encoded them anew yet.
        """
        place = (subset, split)
        if place not in self._opened:
            self._opened[place] = SharedSamples(read_pieces(self.parts, place, None, self.on_wait))
        return first_rows(self._opened[place], num_rows, f"{subset}/{split}")

    def num_away(self) -> int:
        """Return how many blocks went with their nodes and wait to be encoded anew; asked by who loaded them."""
        return num_away(self.parts)

    def __reduce__(self) -> tuple[Any, ...]:
        return _encoded_blocks, (dict(self.parts),)


def _encoded_blocks(parts: Mapping[Place, Sequence[Piece]]) -> EncodedBlocks:
    return EncodedBlocks(parts=parts)


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
    wanted: Mapping[Place, int],
    spec: BackboneSpec,
    *,
    num_encoders: int,
    num_threads: int,
    gpus_per_encoder: float,
) -> EncodedBlocks:
    """Encode the first rows of partitions with one Ray Data job, into Ray's object store.

    Args:
        store: an open store.
        wanted: rows of each partition; a partition without any is left out.
        spec: the backbone, resolved.
        num_encoders: processes that encode side by side, each of which loads the backbone once.
        num_threads: torch threads of one.
        gpus_per_encoder: of one.

    Raises:
        FeaturesNotKeptError: kept features are not the direct path's, or do not fit, and why.
        RecombineError: what was read is not what the manifest says.
    """
    import ray

    wanted = {place: number for place, number in sorted(wanted.items()) if number}
    encoded = partition_dataset(store, wanted).map_batches(
        RowEncoder,
        fn_constructor_kwargs={"spec": spec, "num_threads": num_threads},
        # Tasks with a GPU get a new process each (Ray never keeps one): a pool of actors loads the backbone once each.
        compute=ray.data.ActorPoolStrategy(size=num_encoders),
        num_cpus=ENCODER_CPUS,
        num_gpus=gpus_per_encoder or None,
        batch_size=BATCH_ROWS,
        batch_format="pyarrow",
    )
    blocks = encoded.materialize().to_arrow_refs()
    ask = ray.remote(num_cpus=0)(_reasons)
    if reasons := sorted({reason for found in ray.get([ask.remote(block) for block in blocks]) for reason in found}):
        raise FeaturesNotKeptError(reasons[0])
    return EncodedBlocks(parts=index_blocks(blocks, wanted))


def partition_dataset(store: Store, wanted: Mapping[Place, int]) -> Any:
    """Return a Ray Data dataset of the first rows of partitions, with their images.

    Args:
        store: an open store.
        wanted: rows of each partition, none of them 0.
    """
    import ray

    requests = [{"subset": subset, "split": split, "num_rows": n} for (subset, split), n in wanted.items()]
    return ray.data.from_items(requests, override_num_blocks=len(requests)).map_batches(
        read_partitions, fn_kwargs={"store": store}, batch_size=1, batch_format="pyarrow", num_cpus=READER_CPUS
    )


def read_partitions(requests: Any, *, store: Store) -> Iterator[Any]:
    """Yield the rows that are asked for, about `BLOCK_BYTES` at a time; a task's work of the job.

    Args:
        requests: Arrow table with `subset`, `split` and `num_rows`.
        store: an open store.
    """
    import pyarrow as pa

    for request in requests.to_pylist():
        group: list[Any] = []
        for table in store.read_groups(
            request["subset"], request["split"], num_rows=request["num_rows"], columns=COLUMNS
        ):
            group.append(table)
            if sum(part.nbytes for part in group) >= BLOCK_BYTES:
                yield pa.concat_tables(group)
                group = []
        if group:
            yield pa.concat_tables(group)


def _reasons(table: Any) -> list[str]:
    reasons: list[str] = table[NOT_KEPT_COLUMN].drop_null().unique().to_pylist() if table.num_rows else []
    return reasons


class RowEncoder:
    """One process of the Ray Data job: it holds the backbone and encodes table after table.

    The first table is checked against the direct path. Where features cannot be kept the column `NOT_KEPT_COLUMN` says
    why, of every row, and nothing is encoded: an exception would reach the driver as Ray's own.

    Args:
        spec: the backbone, resolved.
        num_threads: torch threads.
    """

    def __init__(self, *, spec: BackboneSpec, num_threads: int) -> None:
        import torch

        torch.set_num_threads(num_threads)
        self._is_checked = False
        self._reason: str | None = None
        try:
            self._backbone: Backbone = self._load(spec)
        except UserError as error:
            self._reason = error.message

    def __call__(self, rows: Any) -> Any:
        """Return the encoded table of a table of rows."""
        import pyarrow as pa

        samples: Sequence[EncodedSample | None] = [None] * rows.num_rows
        if rows.num_rows and self._reason is None:
            try:
                samples = self._encoded(rows)
            except FeaturesNotKeptError as error:
                self._reason = str(error)
        reasons = pa.array([self._reason] * rows.num_rows, pa.string())
        return encoded_table(rows, samples).append_column(NOT_KEPT_COLUMN, reasons)

    def _load(self, spec: BackboneSpec) -> Backbone:
        from trainers.backbone.backbone import load_backbone

        return load_backbone(spec)

    def _encoded(self, rows: Any) -> Sequence[EncodedSample]:
        from trainers.prompts.encoder import example_from_row
        from trainers.rows.encoded_samples import encode_samples, prompt_batch

        examples = [example_from_row(row) for row in rows.to_pylist()]
        encoded = encode_samples(self._backbone, examples, with_features=True)
        if not self._is_checked:
            kept = prompt_batch(self._backbone, encoded[:CHECKED_ROWS])
            check_kept(self._backbone, examples[:CHECKED_ROWS], kept)
            self._is_checked = True
        return encoded
