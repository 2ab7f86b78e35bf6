"""The figures as files, drawn without a browser: SVG and PDF, equal pictures as equal bytes."""

from __future__ import annotations

import re

from search.report.figures.figure import Figure

# A figure for print: 6.5 in at 96 px, a column of a letter or A4 page.
FIGURE_WIDTH_PX = 620
DRAWN_ID = re.compile(r"""((?:id="|url\(#)(?:gradient_|clip))(\d+)""")
# A dictionary of nothing but references, one a line, as the PDF library writes a page's resources.
REFERENCES = re.compile(rb"<<\n((?: +/\w+ \d+ 0 R\n)+)")


def draw_svg(figure: Figure) -> str:
    """A figure as SVG; lines and words take the colour of the text around them.

    Args:
        figure: One that has something to draw.
    """
    import vl_convert

    # The drawing library numbers gradients and clips on from picture to picture.
    numbers: dict[str, str] = {}
    return DRAWN_ID.sub(
        lambda found: found[1] + numbers.setdefault(found[2], f"{figure.name}{len(numbers)}"),
        str(vl_convert.vegalite_to_svg(figure.spec(FIGURE_WIDTH_PX))),
    )


def draw_pdf(svg: str) -> bytes:
    """The same picture as PDF, black on white.

    Args:
        svg: What `draw_svg` returned.
    """
    import vl_convert

    # The library writes the names of a dictionary in the order of a hash table, which is another each time.
    return REFERENCES.sub(
        lambda found: b"<<\n" + b"".join(sorted(found[1].splitlines(keepends=True))), vl_convert.svg_to_pdf(svg)
    )


def inline_svg(figure: Figure, svg: str) -> str:
    """The picture as an element of a page, named for a screen reader.

    Args:
        figure: One that has something to draw.
        svg: What `draw_svg` returned.
    """
    from markupsafe import escape

    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(figure.title)}" ', 1)
