"""`mix.yaml`: a composition that can be loaded again, tied to the store whose rows it names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from datasets_spec.atomic import replace_text
from datasets_spec.spec_files.spec_file import load_spec
from search.space.composition import Composition


class MixEntry(BaseModel):
    """The first `rows` rows of a subset, in its seeded order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subset: str
    rows: PositiveInt


class Mix(BaseModel):
    """A composition with all that is needed to find its rows again.

    Attributes:
        version: of this file's format.
        subsets: what to train on.
        order_seed: seed of the subsets' order (the store's `seed`).
        store_fingerprint: of the store the rows come from; another store may hold other rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    subsets: tuple[MixEntry, ...] = Field(min_length=1)
    order_seed: int
    store_fingerprint: str

    @property
    def composition(self) -> Composition:
        """Number of samples by subset."""
        return Composition({entry.subset: entry.rows for entry in self.subsets})


def write_mix(path: Path, composition: Composition, *, order_seed: int, store_fingerprint: str) -> Mix:
    """Write `mix.yaml` atomically."""
    import yaml

    entries = tuple(MixEntry(subset=subset, rows=rows) for subset, rows in composition.items())
    mix = Mix(subsets=entries, order_seed=order_seed, store_fingerprint=store_fingerprint)
    replace_text(path, yaml.safe_dump(mix.model_dump(mode="json"), sort_keys=False, allow_unicode=True))
    return mix


def load_mix(path: Path) -> Mix:
    """Read a `mix.yaml`. Raises SpecError with the file's line when it is none."""
    return load_spec(path, Mix)
