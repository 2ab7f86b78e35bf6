"""Compositions: which subsets, how many samples of each, and their identity."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import (
    GetCoreSchemaHandler,
)
from pydantic_core import CoreSchema, core_schema

from datasets_spec.canonical import content_hash
from datasets_spec.errors import UserError


class Composition(Mapping[str, int]):
    """An immutable mapping from subset to number of samples, sorted by subset.

    A subset with 0 samples is not part of a composition, so leaving it out and naming it with 0 are equal.
    The empty composition is the untrained backbone's.

    Args:
        counts: number of samples by subset.

    Raises:
        UserError: a count is negative or not a whole number, or a subset has no name.
    """

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, int]) -> None:
        for subset, num_samples in counts.items():
            if not isinstance(subset, str) or not subset:
                raise UserError(f"a composition names its subsets, found {subset!r}")
            if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples < 0:
                raise UserError(f"{subset} has {num_samples!r} samples; a whole number of at least 0 is needed")
        self._counts = {subset: counts[subset] for subset in sorted(counts) if counts[subset]}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Lets specs hold compositions: a mapping comes in, a mapping goes out."""

        def build(value: Any) -> Composition:
            try:
                return cls(value)
            except UserError as error:
                raise ValueError(str(error)) from error

        mapping = core_schema.no_info_after_validator_function(
            build, core_schema.dict_schema(core_schema.str_schema(), core_schema.int_schema())
        )
        return core_schema.union_schema(
            [core_schema.is_instance_schema(cls), mapping],
            serialization=core_schema.plain_serializer_function_ser_schema(lambda c: c.as_dict()),
        )

    @property
    def subsets(self) -> tuple[str, ...]:
        """The subsets trained on, sorted."""
        return tuple(self._counts)

    @property
    def total(self) -> int:
        """The number of samples over all subsets."""
        return sum(self._counts.values())

    @property
    def identity(self) -> str:
        """The content hash: equal for equal compositions, however they were written."""
        return content_hash(self._counts)

    def as_dict(self) -> dict[str, int]:
        """A plain dict, as it stands in ledger records."""
        return dict(self._counts)

    @classmethod
    def from_json(cls, text: str | Mapping[str, int]) -> Self:
        """Read a JSON object, or what `as_dict` returned. Raises UserError when it is no composition."""
        try:
            value = json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError as error:
            raise UserError(f"not a composition: {error}", hint='write it as {"subset": 240}') from error
        if not isinstance(value, Mapping):
            raise UserError("not a composition: a mapping is needed", hint='write it as {"subset": 240}')
        return cls(value)

    def __getitem__(self, subset: str) -> int:
        return self._counts[subset]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Composition) and self._counts == other._counts

    def __hash__(self) -> int:
        return hash(tuple(self._counts.items()))

    def __reduce__(self) -> tuple[type[Composition], tuple[dict[str, int]]]:
        return Composition, (self._counts,)

    def __str__(self) -> str:
        return "+".join(f"{subset}:{n}" for subset, n in self._counts.items()) or "(no samples)"

    def __repr__(self) -> str:
        return f"Composition({self._counts!r})"


def share_out(rows: Mapping[str, int], num_samples: int) -> Composition:
    """Return `num_samples` spread over subsets as evenly as their numbers of rows allow."""
    counts: dict[str, int] = {}
    smallest_first = sorted(rows, key=lambda s: (rows[s], s))  # what a small one cannot give, the larger ones share
    for position, subset in enumerate(smallest_first):
        left = num_samples - sum(counts.values())
        share = -(-left // (len(rows) - position))  # what is left, over the subsets that are left
        counts[subset] = min(share, rows[subset])
    return Composition(counts)
