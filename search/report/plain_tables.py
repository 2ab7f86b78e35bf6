"""Short texts for pasting: Markdown for a wiki or an issue, LaTeX for a paper."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from search.report.figures.heatmap import NO_CLAIM_MARK, TransferHeatmap, interval_note
from search.report.sections.answer import Answer
from search.report.sections.trials import TrialTable

MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>|#])")
LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "\u202f": r"\,", "★": r"$\star$",
    "†": r"\dag{}", "<": r"\textless{}", ">": r"\textgreater{}", "±": r"$\pm$", "\u00a0": "~", "·": r"$\cdot$",
}  # fmt: skip


def transfer_markdown(heatmap: TransferHeatmap) -> str:
    """The transfer matrix with intervals, in the heatmap's order.

    Args:
        heatmap: What `compute_transfer_heatmap` returned.

    Returns:
        Markdown; one sentence when nothing was measured.
    """
    if heatmap.cells.empty:
        return "# Transfer matrix\n\nNo subset has been measured alone yet.\n"
    rows = _matrix_rows(heatmap)
    table = markdown_table(["source \\ target", *heatmap.targets], rows)
    return f"# Transfer matrix\n\n{_transfer_note(heatmap)}\n\n{table}"


def transfer_latex(heatmap: TransferHeatmap) -> str:
    """The transfer matrix as a booktabs table.

    Args:
        heatmap: What `compute_transfer_heatmap` returned.

    Returns:
        LaTeX to be included as it stands; a comment when nothing was measured.
    """
    if heatmap.cells.empty:
        return "% No subset has been measured alone yet.\n"
    lines = [
        "% needs \\usepackage{booktabs}",
        "\\begin{tabular}{l" + "r" * len(heatmap.targets) + "}",
        "\\toprule",
        " & ".join(latex_text(name) for name in ("source", *heatmap.targets)) + " \\\\",
        "\\midrule",
        *(" & ".join(latex_text(text) for text in row) + " \\\\" for row in _matrix_rows(heatmap)),
        "\\bottomrule",
        "\\end{tabular}",
        "% " + _transfer_note(heatmap).replace("\n", " "),
    ]
    return "\n".join(lines) + "\n"


def trials_markdown(table: TrialTable) -> str:
    """What was run, one line a trial.

    Args:
        table: What `compute_trial_table` returned.

    Returns:
        Markdown; one sentence when nothing was run.
    """
    if not table.rows:
        return "# Trials\n\nNo trial has been recorded yet.\n"
    head = ["trial", "stage", "arm", "composition", "seed", "train_s", "status", *table.splits, "CG gain", "counts"]
    rows = [
        [
            row.train_id.text, row.stage.text, row.arm.text, row.composition.text, row.seed.text, row.train_s.text,
            row.status.text, *(cell.text for cell in row.scores), row.cg_gain.text, row.counts.text,
        ]
        for row in table.rows
    ]  # fmt: skip
    note = (
        f"{table.num_trials} trials; accuracies are means over {table.num_targets} target(s), CG gain in points on "
        "the first split shown. What was trained on a target's own key does not count."
    )
    return f"# Trials\n\n{note}\n\n{markdown_table(head, rows)}"


def selection_markdown(answer: Answer) -> str:
    """What the study found: headline, next step, the mix, every comparison with its simultaneous interval.

    Args:
        answer: What `compute_answer` returned.

    Returns:
        Markdown.
    """
    mix = markdown_table(["subset", "samples"], [[name, size] for name, size, _ in answer.parts])
    head = ["comparator", "evaluation set", "split", "points", "simultaneous 95 % interval", "adjusted p", "verdict"]
    rows = [
        [line.comparator, line.eval_set, line.split, line.difference, line.interval, line.p_value, line.word]
        for line in answer.all_verdicts
    ]
    parts = [
        f"# {markdown_text(answer.headline)}",
        markdown_text(answer.lead),
        f"Next: {markdown_text(answer.next_step)}" if answer.next_step else "",
        "\n".join(f"- {markdown_text(caution)}" for caution in answer.cautions),
        mix if answer.parts else "",
        markdown_table(head, rows) if rows else "",
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts if part) + "\n"


def _matrix_rows(heatmap: TransferHeatmap) -> list[list[str]]:
    measure = "cg_gain" if heatmap.has_cg_gain else "gain"
    cells = {
        (record["source"], record["target"]): (
            f"{record[f'{measure}_label']} [{record[f'{measure}_interval']}]"
            if record[f"{measure}_text"] != "–"
            else "–"
        )
        for record in heatmap.cells.to_dict("records")
    }
    return [[source, *(cells.get((source, target), "–") for target in heatmap.targets)] for source in heatmap.sources]


def _transfer_note(heatmap: TransferHeatmap) -> str:
    measure = "CG gain (against a matched control)" if heatmap.has_cg_gain else "Gain (against the untrained backbone)"
    no_claim = f", {NO_CLAIM_MARK}: no claim is made (one seed)" if heatmap.num_without_claim else ""
    return (
        f"{measure} in points with interval; brackets around a value: it is not told from 0{no_claim}. "
        f"{interval_note(heatmap)} "
        f"Split {heatmap.split}, estimator {', '.join(heatmap.estimators)}, "
        f"n {heatmap.n_range[0]} to {heatmap.n_range[1]}, seeds {heatmap.seeds_range[0]} to {heatmap.seeds_range[1]}."
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts as Markdown; what has a meaning there is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(markdown_text(text) for text in line) + " |" for line in lines) + "\n"


def markdown_text(text: str) -> str:
    """A text as Markdown; what has a meaning there is escaped."""
    return text if text == "---" else MARKDOWN_SPECIAL.sub(r"\\\1", text.replace("\n", " "))


def latex_text(text: str) -> str:
    """A text as LaTeX; what has a meaning there is escaped."""
    return "".join(LATEX_SPECIAL.get(character, character) for character in text)
