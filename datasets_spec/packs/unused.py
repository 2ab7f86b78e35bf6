"""Which packs a generation uses, and removing those that none does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from datasets_spec.atomic import replace_text
from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PACK_SUFFIX, PACKS

USED_NAME: Final = "packs.txt"


def write_used(generation: Path, names: Iterable[str]) -> None:
    """Notes which packs a generation uses.

    Args:
        generation: Its folder.
        names: Names of packs.
    """
    replace_text(generation / USED_NAME, "".join(f"{name}\n" for name in names))


def remove_unused(store_dir: Path, generations: Iterable[Path]) -> int:
    """Removes packs that no generation uses; the caller holds the store's lock.

    Args:
        store_dir: The store.
        generations: Folders of the generations that stay.

    Returns:
        How many bytes are free now.
    """
    used: set[str] = set()
    for generation in generations:
        try:
            used.update((generation / USED_NAME).read_text(encoding="utf-8").split())
        except FileNotFoundError:  # of an earlier version, whose rows hold their images
            continue
    return sum(_remove(path) for path in _files(store_dir) if path.with_suffix(PACK_SUFFIX).name not in used)


def remove_unfinished(store_dir: Path) -> None:
    """Removes what killed processes left; the caller holds the store's lock, so none is at work.

    Args:
        store_dir: The store.
    """
    for path in _files(store_dir):
        if path.name.startswith("."):
            _remove(path)


def forget(store_dir: Path, names: Iterable[str]) -> None:
    """Removes the indexes of packs, so that their images are opened again; readers keep the packs.

    Args:
        store_dir: The store.
        names: Names of packs.
    """
    for name in names:
        (store_dir / PACKS / name).with_suffix(INDEX_SUFFIX).unlink(missing_ok=True)


def _files(store_dir: Path) -> list[Path]:
    folder = store_dir / PACKS
    return [path for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []


def _remove(path: Path) -> int:
    num_bytes = path.stat().st_size
    path.unlink()
    return num_bytes
