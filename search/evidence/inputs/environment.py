"""With what results are computed: versions, the sources of this package, the machine."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

from pydantic import BaseModel, ConfigDict

REPORTED_PACKAGES = (
    "recombine", "ray", "torch", "transformers", "peft", "optuna", "pyarrow", "numpy", "scipy", "pillow",
    "vl-convert-python",
)  # fmt: skip
DECIDING_HARDWARE = ("system", "python", "processor")  # a figure's last digit may hang on them
OUR_PACKAGES = ("cluster", "datasets_spec", "search", "trainers")


class Environment(BaseModel):
    """What a figure's last digit, and a page's bytes, may hang on.

    Attributes:
        versions: version by package.
        source_sha256: of this package's files: a version is not raised with every change.
        hardware: number and model of the processors, system and Python in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    versions: dict[str, str]
    source_sha256: str
    hardware: dict[str, str | int | None]


def this_environment() -> Environment:
    """Of this process."""
    return Environment(
        versions={name: metadata.version(name) for name in REPORTED_PACKAGES},
        source_sha256=source_sha256(),
        hardware={
            "processors": os.cpu_count(),
            "processor": _processor(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
    )


def _processor() -> str:
    """The model, and a digest of its instructions: which are there decides how a sum is rounded."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    instructions = told.get("flags", told.get("Features", ""))
    name = told.get("model name", platform.machine())
    return f"{name} (instructions {hashlib.sha256(instructions.encode()).hexdigest()[:8]})"


@cache
def source_sha256() -> str:
    """SHA-256 over names and contents of this package's files, whether installed or a checkout."""
    root = Path(__file__).resolve().parents[3]
    digest = hashlib.sha256()
    for package in OUR_PACKAGES:
        for path in sorted((root / package).rglob("*")):
            if path.suffix in (".py", ".yaml", ".j2", ".js", ".css") and "__pycache__" not in path.parts:
                name = path.relative_to(root).as_posix()
                digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
