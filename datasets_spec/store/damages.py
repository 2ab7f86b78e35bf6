"""Which files of a store are not as they were written."""

from __future__ import annotations

import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from datasets_spec.packs.pack_writer import PACKS, PackFile
from datasets_spec.storage.files import sizes_below
from datasets_spec.storage.place import Place, S3Place
from datasets_spec.store.manifest import PartFile, StoreManifest

# Reading hides behind hashing, which leaves the interpreter free; more threads only move a disk's head.
NUM_THREADS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """A file that is not as it was written.

    Args:
        path: Path relative to the store.
        holds: What it holds, in words.
        found: What is wrong with it.
        is_pack: Whether it is a pack of images.
    """

    path: str
    holds: str
    found: str
    is_pack: bool

    def __str__(self) -> str:
        return f"{self.path} ({self.holds}) {self.found}"


def find_damages(store_dir: Place, manifest: StoreManifest, *, check_hashes: bool) -> list[Damage]:
    """Compares every pack and part of a store with its manifest.

    Args:
        store_dir: The store.
        manifest: Its manifest.
        check_hashes: Whether files are read and hashed; if not, sizes are compared.
    """
    files: list[tuple[str, str, PartFile | PackFile]] = [
        (f"{PACKS}/{pack.name}", "images", pack) for pack in manifest.packs or ()
    ]
    files += [
        (part.path, f"{subset}, {split}, {part.num_rows} rows", part)
        for subset, counts in manifest.subsets.items()
        for split, parts in counts.files.items()
        for part in parts
    ]
    if isinstance(store_dir, S3Place) and not check_hashes:
        sizes = _listed(store_dir, manifest)
        found = [_fault_of_size(sizes.get(path), written) for path, _, written in files]
    else:
        with ThreadPoolExecutor(NUM_THREADS) as pool:
            found = list(pool.map(lambda item: _fault_of(store_dir / item[0], item[2], check_hashes), files))
    return [
        Damage(path=path, holds=holds, found=fault, is_pack=isinstance(file, PackFile))
        for (path, holds, file), fault in zip(files, found, strict=True)
        if fault is not None
    ]


def _listed(store_dir: S3Place, manifest: StoreManifest) -> dict[str, int]:
    """Sizes by path: a thousand in an answer, where a look at each would cost a request."""
    folders = (PACKS, manifest.generation)
    return {f"{folder}/{path}": size for folder in folders for path, size in sizes_below(store_dir / folder).items()}


def _fault_of_size(num_bytes: int | None, written: PartFile | PackFile) -> str | None:
    if num_bytes is None:
        return "is missing"
    return None if num_bytes == written.num_bytes else f"has {num_bytes} bytes instead of {written.num_bytes}"


def _fault_of(path: Place, written: PartFile | PackFile, check_hashes: bool) -> str | None:
    try:
        with cast(io.BufferedReader, path.open("rb")) as file:
            fault = _fault_of_size(file.seek(0, 2), written)
            if fault is not None:
                return fault
            file.seek(0)
            if check_hashes and hashlib.file_digest(file, "sha256").hexdigest() != written.sha256:
                return "does not have the hash it was written with"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or type(error).__name__})"
    return None
