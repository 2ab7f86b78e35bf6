"""Which adapters a study keeps: those that a later phase or a user may still want; the others go once scored."""

from __future__ import annotations

from collections.abc import Iterable

from search.ledger.records import Record
from search.study.objective import objective_values
from search.study.run_dir import RunDir
from search.study.spec import StudySpec
from search.vocabulary import Stage, Status


class KeptAdapters:
    """Removes adapters of a running study.

    Kept are single sources (merges are made of them), all that is trained with a seed of the confirmation (`sealed` is
    scored with it), designs, what was taken from other studies, and the best `keep_adapters` trials of the search.

    Args:
        spec: the study.
        run_dir: its directory.
    """

    def __init__(self, spec: StudySpec, run_dir: RunDir) -> None:
        self._spec = spec
        self._run_dir = run_dir
        self._best: list[tuple[float, int, str]] = []  # value, minus the place in the ledger, folder
        self._wanted: set[str] = set()  # train_ids that another part of the study keeps
        self._num_seen = 0

    def see_all(self, records: Iterable[Record]) -> None:
        """Take in what the ledger holds already: a kill may have come between a record and a removal."""
        for record in records:
            self.see(record)

    def see(self, record: Record) -> None:
        """Take in the record of a trial that has ended, and remove what nobody wants any more."""
        self._num_seen += 1
        if self._spec.execution.keep_adapters == "all" or record["status"] != Status.finished:
            return
        if self._is_wanted(record):
            self._wanted.add(record["train_id"])
        elif record["train_id"] in self._wanted:
            return
        elif record["stage"] == Stage.search:
            self._keep_if_best(record)
        else:
            self._remove(record["trial_dir"])

    def _is_wanted(self, record: Record) -> bool:
        is_single = len(record["composition"]) <= 1
        is_confirmed = self._spec.confirm.enabled and record["seed"] in self._spec.confirm.fresh_seeds
        return is_single or is_confirmed or record["stage"] not in (Stage.search, Stage.control)

    def _keep_if_best(self, record: Record) -> None:
        values = objective_values(self._spec, record)
        worth = sum(values) / len(values) if values else float("-inf")
        folder = str(record["trial_dir"])
        if folder not in {known for _, _, known in self._best}:
            self._best.append((worth, -self._num_seen, folder))
        self._best.sort(reverse=True)
        for _, _, left in self._best[int(self._spec.execution.keep_adapters) :]:
            self._remove(left)
        del self._best[int(self._spec.execution.keep_adapters) :]

    def _remove(self, trial_dir: str) -> None:
        from trainers.trial.folder import TrialStoreError, remove_adapter

        try:
            remove_adapter(self._run_dir / trial_dir)
        except TrialStoreError:
            return  # a damaged folder is left as it is, for whoever looks into it
