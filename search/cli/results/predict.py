"""`recombine predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.cli.console import print_line, print_table
from search.study.run_dir import RunDir


def predict_command(run: Path, images: Sequence[Path], question: str, options: Sequence[str]) -> None:
    """Print the answer, and the probability of every option."""
    from search.handover.predict import predict

    found = predict(RunDir(run), images, question, options)
    print_line(found.answer)
    if found.probabilities:
        rows = [[text, f"{share:.1%}"] for text, share in zip(options, found.probabilities, strict=True)]
        print_table("Probability of each option", ["option", "probability"], rows)
    print_line(f"computed on {found.device}; for research, not for care")
