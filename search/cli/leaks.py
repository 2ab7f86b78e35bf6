"""`recombine data leaks`: which rows show the same, by file and row, and both pictures side by side."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

from datasets_spec.atomic import replace_file
from datasets_spec.images.decode import decode
from datasets_spec.images.files import read_image, resolve_beneath
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.store.secret import OWNER_ONLY
from datasets_spec.store.store import open_store
from datasets_spec.store.tied_rows import TIED_ROWS_NAME, TiedRow, TiedRows, read_tied_rows
from search.cli.console import print_line, print_table
from search.study.load_study import load_study

# Pixels a side of a picture on the sheet: enough to see a lesion, 20 KB or so.
THUMBNAIL = 280
_STYLE = (
    "body{font:14px sans-serif;margin:2em;max-width:70em}table{border-collapse:collapse}"
    "td{padding:.4em 1em .4em 0;vertical-align:top}tr{border-bottom:1px solid #ccc}img{max-width:280px;background:#000}"
)


def leaks(study_file: Path, overrides: Sequence[str], *, num_pairs: int, sheet: Path | None) -> None:
    """Show rows that show the same picture, those in unequal splits and least alike first."""
    study = load_study(study_file, overrides)
    with open_store(study.store_dir) as store:
        pairs = read_tied_rows(store.directory / store.manifest.generation / TIED_ROWS_NAME)
    chosen = pairs[:num_pairs]
    columns = ["level", "forms", "details", "row", "shows what shows", "what was done"]
    print_table(f"Rows that show the same ({len(chosen)} of {len(pairs)} pairs)", columns, [_line(p) for p in chosen])
    if sheet is not None:
        text = sheet_of(chosen, len(pairs))
        replace_file(sheet, lambda new: _write_private(new, text))
        print_line(f"wrote {sheet}: {len(chosen)} pairs with both pictures; it holds images of your data")


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=OWNER_ONLY)
    path.write_text(text, encoding="utf-8")


def _line(pair: TiedRows) -> list[str]:
    scores = [f"{score:.3f}" for score in (pair.local, pair.detail)]
    return [pair.level, *scores, _named(pair.one), _named(pair.two), _done(pair)]


def _named(row: TiedRow) -> str:
    # File and row, never the path of an image: it may name a patient.
    return f"{row.subset} {row.file} row {row.index}"


def _done(pair: TiedRows) -> str:
    if pair.is_leak and pair.one.outcome == pair.two.outcome == "kept":
        return f"kept in {pair.one.split} and {pair.two.split}"
    told = [f"{row.outcome} ({row.split})" if row.split else row.outcome for row in (pair.one, pair.two)]
    return " / ".join(told) if told[0] != told[1] else f"both {told[0]}"


def sheet_of(pairs: Sequence[TiedRows], num_all: int) -> str:
    """Return a page with both pictures of every pair in it; it loads nothing.

    Args:
        pairs: What to show.
        num_all: How many there are in all.
    """
    limits = ImageLimits()
    rows = [
        f"<tr><td>{html.escape(pair.level)}<br>forms {pair.local:.3f}<br>details {pair.detail:.3f}<br>"
        f"{html.escape(_done(pair))}</td>"
        + "".join(f"<td>{_picture(row, limits)}<br>{html.escape(_named(row))}</td>" for row in (pair.one, pair.two))
        + "</tr>"
        for pair in pairs
    ]
    title = f"Rows that show the same: {len(pairs)} of {num_all} pairs"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1><table>{''.join(rows)}</table></html>\n"
    )


def _picture(row: TiedRow, limits: ImageLimits) -> str:
    try:
        image = decode(read_image(resolve_beneath(row.root, row.published), limits), limits).convert("RGB")
    except ImageRefused as error:
        return f"<em>the image cannot be shown: {html.escape(error.reason.value)}</em>"
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="" src="data:image/jpeg;base64,{data}">'
