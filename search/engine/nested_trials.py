"""The process of a pack under the nested executor: a Ray Train run for each of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.engine.pack_process import PackProcess
from trainers.trial.spec import TrialSpec

if TYPE_CHECKING:
    from trainers.executors.resources import TrialResources
    from trainers.rows.stored_rows import StoredRows


class NestedTrials(PackProcess):
    """Runs trials one after the other, in processes of their own or, in local mode, in this one."""

    def setup(
        self,
        config: dict[str, Any],
        num_processes: int = 1,
        rows: StoredRows | None = None,
        run_dir: str = "",
        resources: TrialResources | None = None,
        label: str = "",
    ) -> None:
        """Take a pack."""
        self._rows, self._run_dir, self._resources, self._label = rows, Path(run_dir), resources, label
        super().setup(config, num_processes)

    def take(self, pack: Mapping[str, Any]) -> None:
        """Keep what will be trained."""
        self._pack = pack
        self._left = list(pack["specs"].values())

    def news(self) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """Run the next trial to its end."""
        from trainers.executors.nested import TrialDiedError, run_nested_trial

        assert self._rows is not None
        assert self._resources is not None
        spec = TrialSpec.model_validate(self._left.pop(0))
        event = {"train_id": spec.train_id}
        try:
            result = run_nested_trial(
                spec,
                self._rows,
                self._run_dir,
                self._resources,
                submitted_at=self._pack["submitted_at"],
                label=f"{self._label}-{self._pack['stage']}",
            )
            event |= {"ended": result.status}
        except TrialDiedError as error:
            event |= {"ended": "failed", "error": str(error)}
        return [event], not self._left
