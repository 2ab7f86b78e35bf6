"""Which packs a generation uses, and removing those that none does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from datasets_spec.packs.pack_writer import INDEX_SUFFIX, PACK_SUFFIX, PACKS
from datasets_spec.storage.files import files_in, replace_text
from datasets_spec.storage.place import Place

USED_NAME: Final = "packs.txt"


def write_used(generation: Place, names: Iterable[str]) -> None:
    """Notes which packs a generation uses.

    Args:
        generation: Its folder.
        names: Names of packs.
    """
    replace_text(generation / USED_NAME, "".join(f"{name}\n" for name in names))


def remove_unused(store_dir: Place, generations: Iterable[Place]) -> int:
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
    return _remove(store_dir, lambda name: str(PurePosixPath(name).with_suffix(PACK_SUFFIX)) not in used)


def remove_unfinished(store_dir: Place, require: Callable[[], None]) -> None:
    """Removes what killed processes left; the caller holds the store's lock, so none is at work.

    Args:
        store_dir: The store.
        require: Raises where the lock was lost; then nothing is removed.
    """
    if isinstance(store_dir, Path):
        _remove(store_dir, lambda name: name.startswith("."))
    else:
        store_dir.storage.sweep(f"{(store_dir / PACKS).key}/", require=require)


def forget(store_dir: Place, names: Iterable[str]) -> None:
    """Removes the indexes of packs, so that their images are opened again; readers keep the packs.

    Args:
        store_dir: The store.
        names: Names of packs.
    """
    for name in names:
        (store_dir / PACKS / str(PurePosixPath(name).with_suffix(INDEX_SUFFIX))).unlink(missing_ok=True)


def _remove(store_dir: Place, is_to_go: Callable[[str], bool]) -> int:
    """Removes files of the folder of packs; returns how many bytes they had."""
    folder = store_dir / PACKS
    going = {name: size for name, size in files_in(folder).items() if is_to_go(name)}
    if isinstance(folder, Path):
        for name in going:
            (folder / name).unlink()
    else:
        folder.storage.remove_all([(folder / name).key for name in going])
    return sum(going.values())
