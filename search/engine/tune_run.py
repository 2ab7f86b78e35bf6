"""One Ray Tune run for a whole study: it schedules packs of trials and holds their processes; it decides nothing.

Tune's own state is a cache that may be deleted at any time: its `restore` loses and repeats finished trials after
`kill -9` and starts afresh from a cut file. What a study knows is in the ledger and in RUN/trials.
"""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from datasets_spec.errors import RecombineError

END_WAIT_S = 15.0  # Tune takes some eight seconds to end


class EngineStoppedError(RecombineError):
    """Ray Tune ended before the trials did."""


class TuneRun:
    """Tune in a thread of its own, from the first trial of a study to the last.

    Args:
        searcher: suggests packs (`PackSearcher`).
        trainable: works on a pack.
        bundle: what its process occupies, in Ray's words.
        max_packs: packs that may be on their way at once.
        stop: whether Tune ends a pack, told each result; None where packs end by themselves.
        storage: folder for Tune's own files; what lies there is of a run that was killed.
    """

    def __init__(
        self,
        *,
        searcher: Any,
        trainable: Any,
        bundle: Mapping[str, float],
        max_packs: int,
        storage: Path,
        stop: Callable[[str, Mapping[str, Any]], bool] | None = None,
    ) -> None:
        self.searcher = searcher
        self._trainable = trainable
        self._bundle = dict(bundle)
        self._max_packs = max_packs
        self._stop = stop
        self._storage = storage
        self._error: BaseException | None = None
        shutil.rmtree(storage, ignore_errors=True)
        self._thread = threading.Thread(target=self._run, name="recombine-tune", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise what ended Tune.

        Raises:
            EngineStoppedError: it has ended by itself.
        """
        if not self._thread.is_alive():
            raise EngineStoppedError(f"Ray Tune ended before the trials did: {self._error}") from self._error

    def close(self) -> None:
        """Let Tune end: it takes a while, and holds no trial meanwhile."""
        self.searcher.close()

    def wait_ended(self) -> None:
        """Wait for Tune's thread: the connection must not go before it, and its processes hold what they occupy."""
        self._thread.join(timeout=END_WAIT_S)

    def _run(self) -> None:
        from ray import tune

        name = f"tune-{uuid.uuid4().hex[:8]}"
        try:
            tune.Tuner(
                tune.with_resources(self._trainable, tune.PlacementGroupFactory([self._bundle])),
                tune_config=tune.TuneConfig(
                    search_alg=self.searcher,
                    num_samples=-1,
                    max_concurrent_trials=self._max_packs,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name=name,
                    storage_path=str(self._storage),
                    verbose=0,
                    stop=self._stop,
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),  # there is nothing to save
                ),
            ).fit()
        except BaseException as error:  # noqa: BLE001 - raised again by `check`
            self._error = error
        finally:
            shutil.rmtree(self._storage / name, ignore_errors=True)
