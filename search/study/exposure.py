"""What a composition has seen of a target, and which subsets may serve as its control."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from datasets_spec.catalog.keys import Key, TaskMap, is_related, same_key
from search.vocabulary import Exposure


class Exposures:
    """Decides the exposure of every (composition, target) pair of a study.

    Args:
        keys: key by subset name, targets included.
        task_map: under which keys are compared.
        few_shot: targets of which at most this many own train rows may be in a composition.
    """

    def __init__(self, keys: Mapping[str, Key], task_map: TaskMap, few_shot: Mapping[str, int] | None = None) -> None:
        self._keys = dict(keys)
        self._task_map = task_map
        self._few_shot = dict(few_shot or {})

    def of(self, composition: Mapping[str, int], target: str) -> Exposure:
        """Return the exposure: whether, and with how many rows, the target's own key is trained on.

        Few-shot is the target alone of its key, with no more rows than were declared; anything beyond is in-domain.
        """
        same = [subset for subset, count in composition.items() if count and self.has_same_key(subset, target)]
        if not same:
            return Exposure.held_out
        allowed = self._few_shot.get(target, 0)
        if same == [target] and composition[target] <= allowed:
            return Exposure.few_shot
        return Exposure.in_domain

    def most_samples(self, subset: str, target: str) -> int | None:
        """The most samples of a subset that leave a composition counting for the target; None where none is too many.

        A number above 0 holds as long as no other subset of the target's key is trained on.
        """
        if not self.has_same_key(subset, target):
            return None
        return self._few_shot.get(target, 0) if subset == target else 0

    def has_same_key(self, subset: str, target: str) -> bool:
        """Whether training on `subset` means training on the target's key."""
        return same_key(self._keys[subset], self._keys[target], self._task_map)

    def unrelated(self, subsets: Iterable[str], target: str) -> list[str]:
        """Return the subsets that share no element with the target, sorted: what a control is made of."""
        return sorted(s for s in set(subsets) if not is_related(self._keys[s], self._keys[target], self._task_map))
