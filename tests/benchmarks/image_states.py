"""How long it takes to see that no image of a store has changed; both sides in one run.

Run as `python -m tests.benchmarks.image_states`. The last line is one JSON object. Images are files of one byte in
folders of 1,000 and eight levels deep; what is compared with is the loop over rows as it was before.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import pyarrow as pa

from datasets_spec.images.files import file_state, resolve_beneath
from datasets_spec.store.image_states import images_unchanged


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--num-images", type=int, default=200_000)
    num_images = parser.parse_args().num_images
    with tempfile.TemporaryDirectory() as folder:
        states = write_images(Path(folder), num_images)
        found: dict[str, float] = {"num_images": num_images}
        for name, look in (("before", row_by_row), ("now", images_unchanged)):
            start_s, start_cpu_s = time.perf_counter(), time.process_time()
            assert look(states, {"s": folder})
            found[f"{name}_s"] = round(time.perf_counter() - start_s, 2)
            found[f"{name}_cpu_s"] = round(time.process_time() - start_cpu_s, 2)
    print(json.dumps(found))  # noqa: T201


def write_images(root: Path, num_images: int) -> pa.Table:
    """Writes the files; returns their states."""
    names = sorted(f"collection/of/images/by/patient/{n // 1000:04d}/visit/{n:07d}.png" for n in range(num_images))
    for folder in sorted({(root / name).parent for name in names}):
        folder.mkdir(parents=True)
    states = []
    for name in names:
        with (root / name).open("wb") as file:
            file.write(b"x")
        states.append((root / name).stat())
    numbers = {"num_bytes": [state.st_size for state in states], "mtime_ns": [state.st_mtime_ns for state in states]}
    return pa.table({"subset": ["s"] * num_images, "path": names, **numbers})


def row_by_row(states: pa.Table, roots: dict[str, str]) -> bool:
    """The look at every row as it was before."""
    for row in states.to_pylist():
        state = file_state(resolve_beneath(Path(roots[row["subset"]]), row["path"]))
        if (state.num_bytes, state.mtime_ns) != (row["num_bytes"], row["mtime_ns"]):
            return False
    return True


if __name__ == "__main__":
    main()
