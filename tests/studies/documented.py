"""The study that README and guide walk through, made small: each of their lines is run once.

Lines that train or compute are run with `SHRUNK` behind them, and on fewer rows; all others as they stand.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from typer.testing import CliRunner

from datasets_spec.phantom.write import write_phantom
from search.cli.verbs import app
from tests.makers.image_folders import write_image_folders
from tests.studies.tiny_study import command, environment

REPOSITORY = Path(__file__).resolve().parents[2]
STUDY = "my-study/study.yaml"
# What makes the demo's study small.
SHRUNK = (
    "strategy.num_trials=6",
    "strategy.num_merges=0",
    "transfer.enabled=false",
    "confirm.num_finalists=1",
    "confirm.seeds=[101]",
    "confirm.comparators=[control]",
    "confirm.open_sealed=false",
    "execution.max_pack=1",
    "execution.vision_features=false",
    "execution.max_concurrent=1",
    "recipe.num_steps=1",
    "space.composition.num_samples=[4]",
)
SHRINKABLE = ("run", "plan", "report", "explain")
NEEDS_RAY = (("run",), ("data", "check"), ("doctor",))  # commands with processes of their own
NUM_PER_PLACE = 2  # images


def commands_of(document: str) -> list[str]:
    """The lines of a document's shell blocks that call `recombine`, in their order."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("recombine ")]


@dataclass
class Documented:
    """A folder in which lines of documents are run.

    Attributes:
        folder: where the reader stands; `my-images` is there from the start.
        outputs: what each line has printed, by its words.
    """

    folder: Path
    outputs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Lay out the folders that a reader brings."""
        write_image_folders(self.folder / "my-images", NUM_PER_PLACE)

    def run(self, line: str) -> str:
        """Run a line and what has to come before it; return its output."""
        _, *words = shlex.split(line, comments=True)
        if (known := self.outputs.get(shlex.join(words))) is not None:
            return known
        if any(word.startswith("my-study/runs") for word in words) or words[0] in ("report", "explain"):
            self.run(f"recombine run {STUDY}")
        elif any(word.startswith("my-study/") for word in words):
            self.run("recombine init my-study")
        shrink = SHRUNK if words[0] in SHRINKABLE else ()
        output = self._subprocess([*words, *shrink]) if self._is_alone(words) else self._here([*words, *shrink])
        assert "Traceback" not in output
        if words == ["init", "my-study"]:
            _shrink_corpus(self.folder / "my-study" / "phantom")
        self.outputs[shlex.join(words)] = output
        return output

    @staticmethod
    def _is_alone(words: list[str]) -> bool:
        return any(tuple(words[: len(verb)]) == verb for verb in NEEDS_RAY)

    def _here(self, words: list[str]) -> str:
        """In this process: what needs no Ray costs no second start of Python."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}"
        return str(done.output)

    def _subprocess(self, words: list[str]) -> str:
        done = subprocess.run(
            command(*words),
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def _shrink_corpus(folder: Path) -> None:
    """The same subsets with fewer rows."""
    subsets = [subset["name"] for subset in yaml.safe_load((folder / "catalog.yaml").read_text())["subsets"]]
    shutil.rmtree(folder)
    write_phantom(folder, seed=0, subsets=subsets, num_pool=60, num_test=12)
