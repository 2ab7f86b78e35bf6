"""Which files of a store are not as they were written."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from datasets_spec.store.manifest import PartFile, StoreManifest

# Reading hides behind hashing, which leaves the interpreter free; more threads only move a disk's head.
NUM_THREADS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """A file that is not as it was written.

    Args:
        subset: Its subset.
        split: Its split.
        part: What the manifest says of it.
        found: What is wrong with it.
    """

    subset: str
    split: str
    part: PartFile
    found: str

    def __str__(self) -> str:
        return f"{self.part.path} ({self.subset}, {self.split}, {self.part.num_rows} rows) {self.found}"


def find_damages(store_dir: Path, manifest: StoreManifest, *, check_hashes: bool) -> list[Damage]:
    """Compares every part of a store with its manifest.

    Args:
        store_dir: The store.
        manifest: Its manifest.
        check_hashes: Whether parts are read and hashed; if not, sizes are compared.
    """
    parts = [
        (subset, split, part)
        for subset, counts in manifest.subsets.items()
        for split, files in counts.files.items()
        for part in files
    ]
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        found = list(pool.map(lambda item: _fault_of(store_dir, item[2], check_hashes), parts))
    return [
        Damage(subset=subset, split=split, part=part, found=fault)
        for (subset, split, part), fault in zip(parts, found, strict=True)
        if fault is not None
    ]


def _fault_of(store_dir: Path, part: PartFile, check_hashes: bool) -> str | None:
    try:
        with (store_dir / part.path).open("rb") as file:
            num_bytes = file.seek(0, 2)
            if num_bytes != part.num_bytes:
                return f"has {num_bytes} bytes instead of {part.num_bytes}"
            file.seek(0)
            if check_hashes and hashlib.file_digest(file, "sha256").hexdigest() != part.sha256:
                return "does not have the hash it was written with"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror or type(error).__name__})"
    return None
