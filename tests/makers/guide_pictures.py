"""The pictures of docs/guide.md: parts of a finished study's page, as small PNGs.

`python -m tests.makers.guide_pictures PAGE FOLDER` writes them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.makers.chromium import visit_page

WIDTH_PX = 1000
MARGIN_PX = 12
NUM_COLOURS = 64  # of a chart with text: a third of the bytes, and nothing is seen of it
# File -> what is shown: all that these selectors find, from the top of the first to the end of the last.
PARTS = {
    "matrix": "#transfer",
    "comparisons": "#comparisons",
    "subsets": "#effects",
}
PLACE = "(() => {{ const r = document.querySelector('{selector}').getBoundingClientRect();"
PLACE += " return [r.left + scrollX, r.top + scrollY, r.right + scrollX, r.bottom + scrollY]; }})()"


def write_pictures(page: Path, folder: Path) -> None:
    """Write every picture, called by its part.

    Args:
        page: a finished study's `index.html`.
        folder: made when missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place:
        whole = Path(place) / "page.png"
        asked = [PLACE.format(selector=selector) for selector in PARTS.values()]
        visit = visit_page(page, width_px=WIDTH_PX, expressions=asked, screenshot=whole)
        picture = Image.open(whole).convert("RGB")
        for name, (left, top, right, bottom) in zip(PARTS, visit.values, strict=True):
            box = (left - MARGIN_PX, top - MARGIN_PX, right + MARGIN_PX, bottom + MARGIN_PX)
            part = picture.crop(tuple(round(edge) for edge in box))
            part.quantize(NUM_COLOURS).save(folder / f"{name}.png", optimize=True)


if __name__ == "__main__":
    write_pictures(Path(sys.argv[1]), Path(sys.argv[2]))
