from __future__ import annotations

import json
import re

from search.report.figures.all_figures import build_figures
from search.report.figures.drawings import FIGURE_WIDTH_PX
from search.report.run_files import RunRecords


def test_every_caption_says_n_seeds_split_and_interval(records: RunRecords) -> None:
    figures = build_figures(records)
    assert list(figures) == ["transfer", "cost", "progress", "comparisons", "arms", "effects", "reliability"]
    for figure in figures.values():
        assert re.search(r"\bn\b", figure.caption), figure.name
        assert "seed" in figure.caption, figure.name
        assert re.search(r"[Ss]plit: ", figure.caption), figure.name
        assert "interval" in figure.caption, figure.name


def test_specifications_are_plain_json_without_addresses(records: RunRecords) -> None:
    for figure in build_figures(records).values():
        text = json.dumps(figure.spec(FIGURE_WIDTH_PX), allow_nan=False)
        assert "http" not in text, figure.name
        assert '"url"' not in text, figure.name


def test_more_cells_than_altairs_default_limit_are_drawn(records: RunRecords) -> None:
    import pandas as pd

    # 106 sources on 53 targets: Med-MAT twice over; altair refuses more than 5 000 rows unless told.
    rows = [
        {**records.transfer.iloc[0].to_dict(), "source": f"s{source}", "target": f"t{target}", "gain": 0.1}
        for source in range(106)
        for target in range(53)
    ]
    big = RunRecords(
        run_dir=records.run_dir,
        run={},
        study={},
        selection=None,
        trials=records.trials,
        transfer=pd.DataFrame(rows),
        missing=(),
    )
    spec = build_figures(big)["transfer"].spec("container")
    assert sum(len(values) for values in spec["datasets"].values()) == 106 * 53
