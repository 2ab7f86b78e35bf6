"""`recombine init`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from datasets_spec.errors import UserError
from datasets_spec.nearest import nearest_of
from search.cli.console import print_line

TEMPLATES = ("phantom", "phantom-designs", "one-gpu", "cluster")
STUDY_FILE = "study.yaml"
# Rows of a phantom subset: half of the pool trains (240 samples must fit, and shares are met by hash), a quarter each
# makes `search` and `confirm`; the test file is sealed.
PHANTOM_NUM_POOL, PHANTOM_NUM_TEST = 640, 300


def write_study(folder: Path, template: str) -> Path:
    """Write a study file from a template, with a phantom one also its corpus; never overwrites a study.

    Raises:
        UserError: there is no such template, or a study is there already.
    """
    if template not in TEMPLATES:
        near = nearest_of(template, TEMPLATES)
        raise UserError(
            f"there is no template '{template}'" + (f". Did you mean '{near}'?" if near else ""),
            hint=f"templates: {', '.join(TEMPLATES)}",
        )
    path = folder / STUDY_FILE
    if path.exists():
        raise UserError(f"{path} exists and stays as it is", hint=f"`recombine plan {path}`, or choose another folder")
    text = (resources.files("search.cli") / "templates" / f"{template}.yaml").read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    if template == "phantom":
        write_phantom_corpus(folder)
    if template == "phantom-designs":
        _write_subsets(folder, _subsets_of(text))
    path.write_text(text, encoding="utf-8")
    print_line(f"wrote {path}; next: `recombine plan {path}`, then `recombine run {path}`")
    return path


def write_phantom_corpus(folder: Path) -> None:
    """Write the phantom subsets that the template names."""
    from datasets_spec.phantom.demo import DEMO_ABILITIES, DEMO_CONTROLS, DEMO_SOURCES, DEMO_TARGETS

    _write_subsets(folder, (*DEMO_SOURCES, *DEMO_CONTROLS, *DEMO_TARGETS, *DEMO_ABILITIES))


def _subsets_of(text: str) -> tuple[str, ...]:
    """The subsets that a study file names, each once."""
    import yaml

    study = yaml.safe_load(text)
    named = [
        *study["space"]["composition"]["sources"],
        *study["control_sources"],
        *study["targets"],
        *study["abilities"],
    ]
    return tuple(dict.fromkeys(named))


def _write_subsets(folder: Path, subsets: Sequence[str]) -> None:
    from datasets_spec.phantom.write import write_phantom

    print_line(f"writing {len(subsets)} phantom subsets")
    write_phantom(folder / "phantom", seed=0, subsets=subsets, num_pool=PHANTOM_NUM_POOL, num_test=PHANTOM_NUM_TEST)
