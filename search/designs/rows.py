"""What a design is made of: rows, each a hypothesis about one target, with the arms that test it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from datasets_spec.catalog.keys import Key, TaskMap, same_key, shared_elements
from search.space.composition import Composition, share_out

BASELINE, CONTROL, RELATED = "baseline", "control", "related"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One way to train for a row's target.

    Attributes:
        name: what it is in the row: `baseline`, `control`, `related` ...
        composition: what it trains on; empty for the baseline.
        num_steps: optimizer steps; None takes the recipe's.
    """

    name: str
    composition: Composition
    num_steps: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DesignRow:
    """A hypothesis and the arms that test it.

    Attributes:
        name: unique in the design; stands in the ledger.
        group: what the row belongs to: a direction, a size.
        target: the evaluation set.
        sources: the subsets that the hypothesis is about, in its order.
        arms: the baseline first, then what is trained.
        contrasts: pairs of arms (first minus second); the first pair is the row's claim.
        published: accuracies in % by arm, where a paper has printed them.
    """

    name: str
    group: str
    target: str
    sources: tuple[str, ...]
    arms: tuple[Arm, ...]
    contrasts: tuple[tuple[str, str], ...]
    published: Mapping[str, float] = field(default_factory=dict)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetPool:
    """The subsets that a design may train on.

    Attributes:
        keys: key by subset, the targets' included.
        rows: number of training rows by subset.
        sources: what arms are made of.
        controls: what controls may also be made of.
        task_map: under which keys are compared.
    """

    keys: Mapping[str, Key]
    rows: Mapping[str, int]
    sources: tuple[str, ...]
    controls: tuple[str, ...]
    task_map: TaskMap

    def key(self, subset: str) -> Key:
        """A subset's key in canonical spelling, with its coarse task."""
        return self.task_map.canonical(self.keys[subset])

    def others(self, target: str) -> list[str]:
        """Sources that do not carry the target's own key, sorted."""
        return sorted(s for s in self.sources if not same_key(self.keys[s], self.keys[target], self.task_map))

    def own(self, target: str) -> list[str]:
        """Sources that carry the target's own key, sorted; the target first."""
        found = set(self.sources) - set(self.others(target))
        return sorted(found, key=lambda s: (s != target, s))

    def shared(self, subset: str, target: str) -> tuple[str, ...]:
        """The elements that a subset shares with the target."""
        return shared_elements(self.keys[subset], self.keys[target], self.task_map)

    def related(self, target: str) -> list[str]:
        """Other sources that share at least one element."""
        return [s for s in self.others(target) if self.shared(s, target)]

    def unrelated(self, target: str) -> list[str]:
        """Sources and control sources that share nothing, sorted."""
        return sorted(s for s in {*self.sources, *self.controls} if not self.shared(s, target))

    def spread(self, subsets: Iterable[str], num_samples: int) -> Composition | None:
        """`num_samples` spread evenly; None without subsets, fewer where their rows do not suffice."""
        rows = {s: self.rows[s] for s in subsets}
        return share_out(rows, num_samples) if rows else None


def baseline_arm() -> Arm:
    """The untrained backbone."""
    return Arm(name=BASELINE, composition=Composition({}))


def arms_with_control(pool: SubsetPool, target: str, trained: Arm, *, num_steps: int | None = None) -> tuple[Arm, ...]:
    """Baseline, the trained arm, and a control of the same number of samples where unrelated subsets exist."""
    control = pool.spread(pool.unrelated(target), trained.composition.total)
    arms = [baseline_arm(), trained]
    if control is not None:
        arms.append(Arm(name=CONTROL, composition=control, num_steps=num_steps))
    return tuple(arms)


def contrasts_of(arms: Iterable[Arm], claim: str) -> tuple[tuple[str, str], ...]:
    """The claim against control (where there is one), then against the baseline."""
    names = {arm.name for arm in arms}
    return tuple((claim, other) for other in (CONTROL, BASELINE) if other in names)


def spread_arms(pool: SubsetPool, groups: dict[str, list[str]], budget: int) -> list[Arm]:
    """One arm a group, with `budget` samples spread evenly over its subsets; none where a group has no rows."""
    arms = []
    for name, subsets in groups.items():
        composition = pool.spread(subsets, budget)
        if composition:
            arms.append(Arm(name=name, composition=Composition(composition)))
    return arms
