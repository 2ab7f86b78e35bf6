"""A chart with its words, and how it becomes a specification."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search.report.figures.theme import ChartWidth, chart_config


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One chart with its words.

    Attributes:
        name: File name without ending, and the element's id.
        title: A heading.
        caption: What to see, n, seeds, split, interval.
        draw: Makes the chart at a width; None when there is nothing to draw yet.
        absent: What has to happen first, when there is nothing to draw.
        min_width_px: Below this the chart scrolls inside its frame instead of shrinking.
    """

    name: str
    title: str
    caption: str
    draw: Callable[[ChartWidth], Any] | None
    absent: str
    min_width_px: int = 0

    def spec(self, width: ChartWidth) -> dict[str, Any]:
        """The Vega-Lite specification, data included, without an address in it.

        Args:
            width: Pixels, or "container" to follow the page.

        Returns:
            JSON values.

        Raises:
            ValueError: There is nothing to draw.
        """
        import altair as alt

        if self.draw is None:
            raise ValueError(f"figure {self.name} has nothing to draw")
        with alt.data_transformers.enable("default", max_rows=None):
            spec: dict[str, Any] = self.draw(width).to_dict()
        spec.pop("$schema", None)
        spec["config"] = chart_config()
        spec["autosize"] = {"type": "fit-x" if width == "container" else "pad", "contains": "padding"}
        spec["description"] = f"{self.title}. {self.caption}"
        finite: dict[str, Any] = _without_nan(spec)
        return finite


def _without_nan(value: Any) -> Any:
    """JSON has no NaN; a missing number is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _without_nan(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return value
