"""Three small studies that end without "train on", run for real and pictured: `python -m tests.makers.found_studies`.

One whose sources have nothing to do with the target; one whose sources code yes and no the other way round; and one
whose useful sources help one of two targets.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.makers.chromium import visit_page

BUILD, PICTURES = Path("build/found"), Path("docs/pages")
TURNED = {"no": "yes", "yes": "no", "A": "B", "B": "A"}


@dataclass(frozen=True, kw_only=True)
class FoundStudy:
    """A study over the phantom corpus; the answers of `turned` are written the other way round."""

    name: str
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    turned: str | None = None
    min_size: int = 1  # subsets of a composition

    @property
    def text(self) -> str:
        """Its study file."""
        return yaml.safe_dump(
            {
                "name": self.name,
                "catalog": "phantom/catalog.yaml",
                "store": "store",
                "backbone": {"model": "phantom"},
                "targets": list(self.targets),
                "control_sources": [
                    *("ultrasound-breast-laterality", "dermoscopy-kidney-grading", "ultrasound-kidney-grading"),
                ],
                "objective": "cg",
                "space": {
                    "composition": {
                        "sources": list(self.sources),
                        "num_samples": [120, 240],
                        "budget": 480,
                        "min_size": self.min_size,
                    }
                },
                "recipe": {"num_steps": 120, "batch_size": 32, "learning_rate": 3.0e-3},
                "strategy": {"name": "recombine", "num_trials": 8},
                "transfer": {"enabled": True},
                "confirm": {"num_finalists": 2, "seeds": [101, 102, 103]},
                "execution": {"max_concurrent": 2},
                "seed": 0,
                "deterministic": True,
            },
            sort_keys=False,
        )


STUDIES = (
    FoundStudy(
        name="nothing-found",
        targets=("xray-lung-staging",),
        sources=("mri-fundus-laterality", "oct-fundus-histology", "oct-bone-laterality"),
    ),
    FoundStudy(
        name="worse-than-nothing",
        targets=("oct-bone-histology",),
        sources=("mri-bone-histology", "oct-fundus-histology"),
        turned="mri-bone-histology",
        min_size=2,  # no way around it
    ),
    FoundStudy(
        name="one-target-left-behind",
        targets=("xray-lung-staging", "oct-bone-histology"),
        sources=("xray-brain-staging", "xray-lung-grading", "oct-bone-laterality"),
    ),
)


def write_study(study: FoundStudy, folder: Path) -> Path:
    """Writes the corpus and the study file.

    Args:
        study: Which.
        folder: Where to; made anew.

    Returns:
        The study file.
    """
    shutil.rmtree(folder, ignore_errors=True)
    recombine("init", str(folder), "--template", "phantom")
    if study.turned is not None:
        catalog = yaml.safe_load((folder / "phantom/catalog.yaml").read_text())
        (subset,) = (subset for subset in catalog["subsets"] if subset["name"] == study.turned)
        for name in (*subset["pool"], *subset["test"]):
            turn_answers(folder / "phantom" / name)
    path = folder / "study.yaml"
    path.write_text(study.text)
    return path


def turn_answers(path: Path) -> None:
    """Writes yes for no and no for yes."""
    records = json.loads(path.read_text())
    for record in records:
        record.update({key: TURNED[record[key]] for key in ("caption", "Answer", "Answer-choice")})
    path.write_text(json.dumps(records))


def recombine(*arguments: str) -> None:
    """Runs a verb of the command line."""
    subprocess.run([sys.executable, "-m", "search.cli", *arguments], check=True)


def main(names: Sequence[str]) -> None:
    """Runs all three, or those named, and saves the upper part of their pages."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for study in STUDIES:
        if names and study.name not in names:
            continue
        path = write_study(study, BUILD / study.name)
        recombine("run", str(path))
        page = path.parent / "runs" / study.name / "report" / "index.html"
        visit_page(page, width_px=1200, height_px=1250, expressions=[], screenshot=PICTURES / f"{study.name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
