"""What an appendix is made of, and its two forms: Markdown, and LaTeX to be included in a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.report.plain_tables import latex_text, markdown_table, markdown_text

# The text width that a table of sentences takes; the rest is the space between columns.
_SENTENCES_WIDTH = 0.88


@dataclass(frozen=True, kw_only=True, slots=True)
class Paragraph:
    """A text, under a heading if it has one."""

    text: str
    heading: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of texts.

    Attributes:
        caption: what it shows, with what a reader must know of its figures.
        head: a name for each column.
        rows: as many texts as there are columns.
        widths: share of the text's width for each column of sentences; () where all cells are short.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...] = ()


Block = Paragraph | Table


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The appendix for a wiki, an issue or a word processor."""
    parts = [f"# {markdown_text(title)}"]
    for block in blocks:
        if isinstance(block, Table):
            parts += [f"**{markdown_text(block.caption)}**", markdown_table(block.head, block.rows).rstrip("\n")]
        else:
            parts += [f"## {markdown_text(block.heading)}"] if block.heading else []
            parts += [markdown_text(block.text)]
    return "\n\n".join(parts) + "\n"


def as_latex(title: str, blocks: Sequence[Block]) -> str:
    r"""The appendix as sections and tables, without a preamble: `\input{appendix}` includes it."""
    parts = [
        "% needs \\usepackage[T1]{fontenc}, \\usepackage{booktabs} and \\usepackage{longtable}",
        f"\\section{{{latex_text(title)}}}",
    ]
    for block in blocks:
        if isinstance(block, Table):
            parts.append(_latex_table(block))
        else:
            parts += [f"\\subsection{{{latex_text(block.heading)}}}"] if block.heading else []
            parts += [latex_text(block.text)]
    return "\n\n".join(parts) + "\n"


def _latex_table(table: Table) -> str:
    """A table that may run over pages: a checklist does."""
    columns = "".join(f"p{{{_SENTENCES_WIDTH * share:.3f}\\linewidth}}" for share in table.widths)
    head, *rows = (" & ".join(latex_text(text) for text in row) + " \\\\" for row in (table.head, *table.rows))
    lines = [
        f"\\begin{{longtable}}{{{columns or 'l' + 'r' * (len(table.head) - 1)}}}",
        f"\\caption{{{latex_text(table.caption)}}} \\\\",
        "\\toprule", head, "\\midrule", "\\endhead",
        *rows,
        "\\bottomrule", "\\end{longtable}",
    ]  # fmt: skip
    return "\n".join(lines)
