"""What it takes for one file to carry its own scripts and data safely and load nothing from anywhere."""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from search.evidence.spreadsheet import safe_cell


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that defines `vegaEmbed`, from the installed package."""
    import vl_convert

    return "(()=>{" + str(vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;")) + "})();"


def content_security_policy(scripts: Sequence[str]) -> str:
    """A policy under which nothing but the given inline scripts runs and nothing is fetched.

    Charts need inline styles, and `data:` images for saving a chart as PNG; expressions are interpreted, so that
    no `unsafe-eval` is needed.

    Args:
        scripts: The text of each script element, exactly; of a page without any, none runs.

    Returns:
        The content of the meta element.
    """
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def packed_json(value: Any) -> Markup:
    """JSON as base64 of gzip, for a script element that is data; a tenth to a fifth of the text.

    Args:
        value: Anything JSON can hold; NaN is refused.

    Returns:
        The text, marked as safe for the template: letters, digits, `+`, `/` and `=`.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode())


def csv_text(frame: pd.DataFrame) -> str:
    """The frame as CSV, for a download; text that a spreadsheet would run gets an apostrophe.

    Numbers have six digits, more than any question decides: the last ten do not compress, and are in the run's files.
    Whole numbers have all, also where a missing one made the column one of fractions.

    Args:
        frame: A table.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(frame.columns)
    for row in frame.itertuples(index=False):
        writer.writerow([_csv_cell(value) for value in row])
    return out.getvalue()


def _csv_cell(value: Any) -> Any:
    if value is None or value != value:
        return ""
    if not isinstance(value, float):
        return safe_cell(value)
    return str(int(value)) if value.is_integer() else f"{value:.6g}"


def mark_commands(text: str) -> Markup:
    """Sets what stands in backticks, as sentences for terminal and Markdown have it, as code; escapes the rest.

    Args:
        text: A sentence of ours.
    """
    pieces = text.split("`")
    if len(pieces) % 2 == 0:  # one backtick is without another
        return Markup(escape(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else Markup(escape(piece))
        for place, piece in enumerate(pieces)
    )
