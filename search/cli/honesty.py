"""`recombine bench honesty`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import cast

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from search.bench.honesty.figures import SCENARIOS, Figure, Scenario, run_campaigns
from search.cli.console import print_line, print_note, print_table


def bench_honesty(scenarios: Sequence[str], num_campaigns: int, *, seed: int, num_workers: int, as_json: bool) -> None:
    """Run simulated campaigns and print how honest their reports are.

    Raises:
        UserError: there is no such scenario.
    """
    for name in scenarios:
        if name not in SCENARIOS:
            near = nearest_of(name, SCENARIOS)
            raise UserError(
                f"no scenario is called '{name}'" + (f". Did you mean '{near}'?" if near else ""),
                hint=f"scenarios: {', '.join(SCENARIOS)}",
            )
    say = print_note if as_json else print_line
    figures: list[Figure] = []
    for name in scenarios or SCENARIOS:
        found = run_campaigns(cast(Scenario, name), num_campaigns, seed=seed, num_workers=num_workers, on_event=say)
        figures += found
        if as_json:
            for figure in found:
                print_line(json.dumps(figure.as_dict()))
    if not as_json:
        print_table(f"{num_campaigns} campaigns a scenario", COLUMNS, [_cells(figure) for figure in figures])


COLUMNS = ["scenario", "figure", "measured", "95 % interval", "aim", "reached"]


def _cells(figure: Figure) -> list[str]:
    is_points = figure.figure.endswith("points")

    def text(value: float) -> str:
        return f"{value:+.2f}" if is_points else f"{100 * value:.1f} %"

    reached = {True: "yes", False: "NO", None: ""}[figure.is_reached]
    interval = f"{text(figure.ci_low)} to {text(figure.ci_high)}"
    return [figure.scenario, figure.figure, text(figure.value), interval, figure.aim, reached]
