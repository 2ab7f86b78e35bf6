"""How the rows of a subset are divided and how many of them are kept."""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datasets_spec.sample import SPLITS

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Role = Literal["id", "ood"]


class SplitShares(BaseModel):
    """How a pool of rows is divided; the shares add up to one.

    Args:
        train: Share that compositions may train on.
        search: Share that guides the search.
        confirm: Share that compares the finalists.
        sealed: Share that is opened once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Share = 0.6
    search: Share = 0.15
    confirm: Share = 0.15
    sealed: Share = 0.1

    @model_validator(mode="after")
    def _is_whole(self) -> SplitShares:
        total = math.fsum(self.as_tuple())
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares add up to {total:g}, not to 1")
        return self

    def as_tuple(self) -> tuple[float, ...]:
        """Returns the shares in the order of ``SPLITS``."""
        return tuple(getattr(self, split) for split in SPLITS)

    def without_train(self) -> SplitShares:
        """Returns shares that train on nothing and divide the rows among the other splits in proportion."""
        rest = self.search + self.confirm + self.sealed
        if rest == 0:
            return SplitShares(train=0.0, search=0.0, confirm=0.0, sealed=1.0)
        search, confirm = self.search / rest, self.confirm / rest
        return SplitShares(train=0.0, search=search, confirm=confirm, sealed=max(0.0, 1.0 - search - confirm))


class SamplingSpec(BaseModel):
    """Which of the usable rows of a subset the store keeps; the defaults keep all.

    Med-MAT's protocol (arXiv 2412.20070v2, section 2.1 and appendix B.4) is ``max_train: 3000``,
    ``balanced_evaluation: true``, ``ood: test_only``, with shares of 9:1.

    Args:
        max_train: Most rows of ``train``; taken label by label in turn, so as balanced as the pool allows.
        balanced_evaluation: Keep, in each of ``search``, ``confirm`` and ``sealed``, equally many rows of every
            label that occurs there, as many as possible.
        ood: ``test_only`` trains on no row of a subset whose role is ``ood``; ``train`` treats it like the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_train: Annotated[int, Field(ge=1)] | None = None
    balanced_evaluation: bool = False
    ood: Literal["train", "test_only"] = "train"

    def num_kept(self, split: str, labels: Counter[str]) -> int:
        """Returns how many rows of a split to keep, out of an order that takes one of each label in turn.

        Args:
            split: One of ``SPLITS``.
            labels: Rows of the split by label.
        """
        if split == "train":
            return min(labels.total(), self.max_train or labels.total())
        if self.balanced_evaluation and labels:
            return len(labels) * min(labels.values())
        return labels.total()

    def shares_for(self, role: Role | None, shares: SplitShares) -> SplitShares:
        """Returns the shares that a subset of a role is divided by.

        Args:
            role: The subset's role.
            shares: Its shares as written.
        """
        return shares.without_train() if role == "ood" and self.ood == "test_only" else shares
