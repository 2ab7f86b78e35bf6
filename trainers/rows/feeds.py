"""Where a loop's batches come from: rows encoded as they are needed, or samples encoded once and kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from trainers.prompts.encoder import BatchEncoder, Example, example_from_row
from trainers.rows.encoded_samples import encode_one, join_samples, prompt_batch, training_batch
from trainers.rows.stored_rows import Place, StoredRows

if TYPE_CHECKING:
    import pyarrow as pa

    from trainers.backbone.backbone import Backbone
    from trainers.rows.encoded_blocks import SampleRows
    from trainers.rows.encoded_samples import EncodedSample

Side = Literal["right", "left"]


class Feed(Protocol):
    """An ordered set of samples of one backbone."""

    @property
    def is_prepared_late(self) -> bool:
        """Whether taking a sample costs time, so that threads should do it ahead."""
        ...

    def __len__(self) -> int:
        """Return the number of samples."""
        ...

    def take(self, indices: Iterable[int]) -> list[Any]:
        """Return samples by their place; only the feed's own methods read them."""
        ...

    def question(self, sample: Any) -> Example:
        """Return what is asked, with or without its images."""
        ...

    def training_inputs(self, samples: Sequence[Any]) -> dict[str, Any]:
        """Return what a forward pass takes, answers appended, and `labels` [batch, tokens]."""
        ...

    def prompt_inputs(self, samples: Sequence[Any], side: Side = "right") -> dict[str, Any]:
        """Return what a forward pass takes without answers, padded on one side."""
        ...


class DirectFeed:
    """Decodes rows and encodes them by the backbone's processor when they are taken; any thread may take.

    Args:
        encoder: of the backbone.
        rows: stored rows, in their order.
        source: reads the images of rows that say where theirs lie.
        asked: the partition, where the samples are questions that later trials answer too.
    """

    is_prepared_late = True

    def __init__(
        self, encoder: BatchEncoder, rows: pa.Table, source: StoredRows | None = None, asked: Place | None = None
    ) -> None:
        self._encoder = encoder
        self._rows = rows
        self._source = source
        self._asked = asked

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def take(self, indices: Iterable[int]) -> list[EncodedSample]:
        """Prepare rows, each where it lies: Arrow's `take` joins chunks, which copies all images and ends at 2 GiB."""
        return [self._prepared(int(i)) for i in indices]

    def _prepared(self, place: int) -> EncodedSample:
        """A sample that was prepared before, or is now."""
        source, asked = self._source, self._asked
        if source is not None and asked is not None:
            known = source.questions.find(self._encoder, (*asked, place))
            if known is not None:
                return known
        row = self._rows.slice(place, 1).to_pylist()[0]
        example = example_from_row(row if source is None else source.with_images(row))
        sample = encode_one(self._encoder.for_this_thread(), example)
        if source is not None and asked is not None:
            source.questions.keep(self._encoder, (*asked, place), sample)
        return sample

    def question(self, sample: EncodedSample) -> Example:
        """Return the question without images."""
        return sample.example

    def training_inputs(self, samples: Sequence[EncodedSample]) -> dict[str, Any]:
        """As `BatchEncoder.encode_training`."""
        return join_samples(self._encoder, samples, with_answers=True, side="right")

    def prompt_inputs(self, samples: Sequence[EncodedSample], side: Side = "right") -> dict[str, Any]:
        """As `BatchEncoder.encode_prompts`."""
        return join_samples(self._encoder, samples, with_answers=False, side=side)


class EncodedFeed:
    """Joins samples that were encoded before.

    Args:
        backbone: the one they were encoded for.
        samples: in their order.
    """

    is_prepared_late = False

    def __init__(self, backbone: Backbone, samples: Sequence[EncodedSample]) -> None:
        self._backbone = backbone
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def take(self, indices: Iterable[int]) -> list[EncodedSample]:
        """Look samples up."""
        return [self._samples[i] for i in indices]

    def question(self, sample: EncodedSample) -> Example:
        """Return the question without images."""
        return sample.example

    def training_inputs(self, samples: Sequence[EncodedSample]) -> dict[str, Any]:
        """As `encoded_samples.training_batch`."""
        return training_batch(self._backbone, samples)

    def prompt_inputs(self, samples: Sequence[EncodedSample], side: Side = "right") -> dict[str, Any]:
        """As `encoded_samples.prompt_batch`."""
        return prompt_batch(self._backbone, samples, side)


class SharedFeed:
    """Some samples of another feed.

    Args:
        feed: the whole.
        places: which of its samples, in order.
    """

    def __init__(self, feed: Feed, places: Sequence[int]) -> None:
        self._feed = feed
        self._places = places
        self.is_prepared_late = feed.is_prepared_late
        self.question = feed.question
        self.training_inputs = feed.training_inputs
        self.prompt_inputs = feed.prompt_inputs

    def __len__(self) -> int:
        return len(self._places)

    def take(self, indices: Iterable[int]) -> list[Any]:
        """Take from the whole."""
        return self._feed.take([self._places[i] for i in indices])


def partition_feed(
    rows: StoredRows | SampleRows, backbone: Backbone, subset: str, split: str, num_rows: int | None = None
) -> Feed:
    """Return the first `num_rows` samples of a partition (all when None), encoded now or before."""
    if isinstance(rows, StoredRows):
        asked = None if split == "train" else (subset, split)
        return DirectFeed(backbone.encoder, rows.read(subset, split, num_rows), rows, asked)
    return EncodedFeed(backbone, rows.samples(subset, split, num_rows))


def composition_feed(rows: StoredRows | SampleRows, backbone: Backbone, composition: Mapping[str, int]) -> Feed:
    """Return a composition's training samples: subsets by name, each the first of its own order."""
    if isinstance(rows, StoredRows):
        return DirectFeed(backbone.encoder, rows.composition(composition), rows)
    parts = [rows.samples(subset, "train", count) for subset, count in sorted(composition.items()) if count]
    return EncodedFeed(backbone, [sample for part in parts for sample in part])
