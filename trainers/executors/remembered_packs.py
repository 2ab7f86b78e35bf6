"""Pack sizes that were measured before on a device like this one, in the user's cache."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets_spec.atomic import replace_text
from datasets_spec.canonical import content_hash
from trainers.trial.spec import TRAINER_VERSION, TrialSpec

VERSIONED = ("torch", "transformers", "peft")
MOST_KEPT = 200  # the oldest go first


def packs_file() -> Path:
    """Return the file, by the base directories that users may set (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "recombine" / "packs.json"


def pack_key(spec: TrialSpec, *, max_pack: int, num_threads: int, with_features: bool, gpus: float) -> str:
    """Return what a measurement holds for: device, versions, backbone, and the shape of a fine-tune and of its rows.

    Args:
        spec: the fine-tune that packs are measured with.
        max_pack: largest pack that is tried.
        num_threads: torch threads.
        with_features: samples carry kept vision features.
        gpus: that the slot occupies; of a part of a card others take theirs.
    """
    recipe = spec.recipe.identity()
    shape = {name: value for name, value in recipe.items() if name.startswith("lora_") or name == "batch_size"}
    return content_hash(
        {
            "device": _device_name(spec.backbone.device),
            "versions": {name: version(name) for name in VERSIONED} | {"trainer": TRAINER_VERSION},
            "backbone": spec.backbone_fingerprint,
            "numerics": [spec.backbone.dtype, spec.backbone.attention, spec.backbone.activation_checkpointing],
            "shape": {**shape, "micro_batch_size": spec.recipe.micro_batch_size, "rows": spec.rows_digest},
            "packing": [max_pack, num_threads, with_features, gpus],
        }
    )


def remembered(key: str) -> Mapping[str, Any] | None:
    """Return what was measured; None where nothing was, or the file cannot be read as one of this version."""
    found = _read().get(key)
    if not isinstance(found, dict):
        return None
    size, step_s = found.get("pack_size"), found.get("step_s")
    if not isinstance(size, int) or not isinstance(step_s, dict):
        return None
    return {"pack_size": size, "step_s": step_s, "micro_batch_size": None, "is_memory_short": False}


def remember(key: str, measured: Mapping[str, Any]) -> None:
    """Keep a measurement, unless memory was short: that may have been another's doing.

    A file that cannot be written is no error.
    """
    if measured["is_memory_short"]:
        return
    entries = {name: entry for name, entry in _read().items() if name != key}
    entries[key] = {"pack_size": measured["pack_size"], "step_s": dict(measured["step_s"])}
    kept = dict(list(entries.items())[-MOST_KEPT:])
    try:
        packs_file().parent.mkdir(parents=True, exist_ok=True)
        replace_text(packs_file(), json.dumps(kept, indent=1))
    except OSError:
        return


def _read() -> dict[str, Any]:
    try:
        found = json.loads(packs_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _device_name(device: str) -> str:
    """The card's name, or the processor's model and the number of cores."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        model = ""
    return f"{model or platform.processor() or platform.machine()} x {os.cpu_count()}"
