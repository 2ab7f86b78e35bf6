"""Tables of continuous mixtures: RegMix's pairs of CSV files (weights, losses), or one file of runs.

One file of runs holds a column `x_...` for every part of the mixture and a column `y_...` for every score, higher being
better; `y_loss...` are losses. That is what the data-mixture tasks of bolt-bench give when they are asked for a number
of mixtures and the answers are written down; a curriculum of two stages is one mixture of its (stage, domain) parts.

They hold no compositions to search, but they tell whether the surrogate ranks mixtures: fitted on a few small runs, it
predicts the order of other, larger ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets_spec.errors import UserError
from search.strategies.surrogate.encoding import Encoded
from search.strategies.surrogate.gaussian_process import Evidence, Surrogate, unit_weights

Floats = NDArray[np.float64]
INDEX: Final = "index"
RUNS_HINT: Final = "one CSV or Parquet file with columns x_<part> (shares) and y_<score>, one row a run"
HINT: Final = "two CSV files with a column `index`: weights of the domains, and losses of the validation sets"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixtures:
    """n runs.

    Attributes:
        domains: names of what is mixed.
        targets: names of what losses are of.
        shares: [n, domains], rows sum to 1.
        losses: [n, targets].
    """

    domains: tuple[str, ...]
    targets: tuple[str, ...]
    shares: Floats
    losses: Floats

    def encoded(self) -> Encoded:
        """The mixtures as the surrogate takes them."""
        return Encoded(
            presence=(self.shares > 0).astype(np.float64),
            shares=self.shares,
            doublings=np.zeros_like(self.shares),
            recipe=np.zeros((len(self.shares), 0)),
        )


def load_mixtures(weights_file: Path, losses_file: Path) -> Mixtures:
    """Read runs that are in both files.

    Args:
        weights_file: CSV, one row a run: `index` and one column a domain; rows are normalised to shares.
        losses_file: CSV, one row a run: `index` and one column a validation set.

    Raises:
        UserError: a file is missing, lacks `index`, holds something else than numbers, or no run is in both.
    """
    import pandas as pd

    frames = []
    for file in (weights_file, losses_file):
        try:
            frame = pd.read_csv(file)
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: not a CSV file ({error})", hint=HINT) from error
        if INDEX not in frame or frame[INDEX].duplicated().any():
            raise UserError(f"{file}: a column `{INDEX}` with one row a run is needed", hint=HINT)
        numbers = frame.set_index(INDEX).select_dtypes("number")
        if numbers.shape[1] != frame.shape[1] - 1 or not np.isfinite(numbers.to_numpy()).all() or numbers.empty:
            raise UserError(f"{file}: a column holds something else than finite numbers", hint=HINT)
        frames.append(numbers)
    weights, losses = frames
    runs = weights.index.intersection(losses.index)
    shares = weights.loc[runs].to_numpy(dtype=np.float64)
    if len(runs) == 0 or (shares < 0).any() or (shares.sum(1) <= 0).any():
        raise UserError(f"{weights_file} and {losses_file}: no run in both, or weights that are no shares", hint=HINT)
    return Mixtures(
        domains=tuple(map(str, weights.columns)),
        targets=tuple(map(str, losses.columns)),
        shares=shares / shares.sum(1, keepdims=True),
        losses=losses.loc[runs].to_numpy(dtype=np.float64),
    )


def load_runs(file: Path) -> Mixtures:
    """Read a file of runs, see the module; scores become losses by their sign.

    Args:
        file: CSV or Parquet; other columns are ignored.

    Raises:
        UserError: the file is missing, has no such columns, or they hold something else than finite numbers.
    """
    import pandas as pd

    try:
        frame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: not a CSV or Parquet file ({type(error).__name__})", hint=RUNS_HINT) from error
    parts = [str(column) for column in frame if str(column).startswith("x_")]
    scores = [str(column) for column in frame if str(column).startswith("y_")]
    if not parts or not scores or frame.empty:
        raise UserError(f"{file}: {len(parts)} columns x_..., {len(scores)} y_..., {len(frame)} rows", hint=RUNS_HINT)
    numbers = frame[[*parts, *scores]].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    shares = numbers[:, : len(parts)]
    if not np.isfinite(numbers).all() or (shares < 0).any() or (shares.sum(1) <= 0).any():
        raise UserError(
            f"{file}: a column holds something else than finite numbers, or shares are below 0", hint=RUNS_HINT
        )
    signs = np.array([1.0 if score.startswith("y_loss") else -1.0 for score in scores])
    return Mixtures(
        domains=tuple(part.removeprefix("x_") for part in parts),
        targets=tuple(score.removeprefix("y_") for score in scores),
        shares=shares / shares.sum(1, keepdims=True),
        losses=signs * numbers[:, len(parts) :],
    )


def rank_correlations(train: Mixtures, test: Mixtures, *, num_runs: int, seed: int) -> dict[str, float]:
    """Spearman correlation of predicted and true losses of other runs, by target.

    Args:
        train: runs to learn from, of which `num_runs` are drawn.
        test: runs to rank; the same domains and targets, perhaps of a larger model.
        num_runs: at least 3.
        seed: of the draw.

    Raises:
        UserError: the two do not fit each other, or there are fewer runs than asked for.
    """
    from scipy.stats import spearmanr

    if train.domains != test.domains:
        raise UserError("the two files of weights name different domains, or in another order", hint=HINT)
    targets = [target for target in train.targets if target in test.targets]
    if not targets or not 3 <= num_runs <= len(train.shares):
        raise UserError(f"{len(targets)} common targets, {len(train.shares)} runs to draw {num_runs} from", hint=HINT)
    chosen = np.sort(np.random.default_rng(seed).choice(len(train.shares), size=num_runs, replace=False))
    places = [train.targets.index(target) for target in targets]
    surrogate = Surrogate(
        Evidence(
            candidates=train.encoded().take(chosen),
            scores=-train.losses[chosen][:, places],
            features=np.zeros((0, num_runs, len(targets))),
            feature_groups=(),
            target_likeness=np.eye(len(targets)),
            noise=np.ones(len(targets)),
        )
    )
    nothing = np.zeros((0, len(test.shares), len(targets)))
    found = {}
    for place, target in enumerate(targets):
        predicted = surrogate.predict(test.encoded(), nothing, unit_weights(place, len(targets))).mean
        found[target] = float(spearmanr(predicted, -test.losses[:, test.targets.index(target)]).statistic)
    return found
