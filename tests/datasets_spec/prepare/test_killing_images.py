"""An image that ends the process which opens it is set aside, and only it; Ray alone would try it for ever.

No image that is known to us does so. In its place stands a hook in the environment of the test's processes: what opens
an image with a certain mark is killed, or asks for more memory than there is, until a file says that all is well again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datasets_spec.errors import ReaderError
from datasets_spec.images.files import file_state
from datasets_spec.images.limits import NO_MEMORY, ImageLimits
from datasets_spec.prepare.opening.attempts import MAX_ATTEMPTS, begin, num_repeated
from datasets_spec.prepare.opening.limited_process import LimitedProcess, limit_mib
from datasets_spec.prepare.opening.open_image import open_image, open_mask
from datasets_spec.prepare.read_rows import read_and_count
from tests.datasets_spec.readers.test_regions import source
from tests.makers.corpus import mat_pool, mat_record, save_picture, subset_lines, write_catalog, write_json
from tests.makers.staging import finish_in, read_into

REPOSITORY = Path(__file__).resolve().parents[3]
# Files of one size are one block: three blocks of equal files, of which two have killers, among images that do no harm.
PER_BLOCK = 32
NUM_ROWS = 3 * PER_BLOCK
KILLERS, EATERS = (3, 20, 40), (50,)
KILLER, EATER, HARMLESS = b"this one kills it", b"it eats all memory", b"this harms nothing"
HOOK = f"""
import os, signal
from PIL import Image
real = Image.open

def opened(file, *args, **kwargs):
    data = file.getvalue() if hasattr(file, "getvalue") and not os.path.exists(os.environ["ALL_IS_WELL"]) else b""
    if {KILLER!r} in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if {EATER!r} in data:
        bytes(10**11)
    return real(file, *args, **kwargs)

Image.open = opened
"""
PREPARE = """
import os, shutil, sys, ray
from pathlib import Path
from datasets_spec.catalog.catalog import load_catalog
from datasets_spec.prepare.prepare_store import prepare_store
ray.init(address="local", num_cpus=1, log_to_driver=False, include_dashboard=False)

def prepare(**options):
    print("preparing", options)
    prepare_store(load_catalog(sys.argv[1]), Path(sys.argv[2]), quarantine_limit=0.5, on_event=print, **options)

prepare()
shutil.copy(Path(sys.argv[2]) / "quarantine.parquet", Path(sys.argv[2]).parent)
Path(os.environ["ALL_IS_WELL"]).touch()
prepare()
prepare(retry_images=True)
prepare(retry_images=True)
"""


def spoil(path: Path, mark: bytes, num_more: int) -> None:
    """Appends a mark behind a picture's end, and some bytes, which make files of one size a block."""
    path.write_bytes(path.read_bytes() + mark + b"." * (num_more + len(HARMLESS) - len(mark)))


@pytest.mark.ray
def test_images_that_end_their_process_are_set_aside_and_no_other_until_they_are_asked_for(tmp_path: Path) -> None:
    write_json(tmp_path / "pool.json", mat_pool(tmp_path, "pool", NUM_ROWS, first=0))
    for number in range(NUM_ROWS):
        mark = KILLER if number in KILLERS else EATER if number in EATERS else HARMLESS
        spoil(tmp_path / "images" / f"pool/p{number}/im ({number}).png", mark, number // PER_BLOCK)
    write_catalog(tmp_path, [subset_lines("pool", pool=["pool.json"])])
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    command = [sys.executable, "-c", PREPARE, str(tmp_path / "catalog.yaml"), str(tmp_path / "store")]
    more = {"PYTHONPATH": f"{tmp_path / 'hook'}:{REPOSITORY}", "ALL_IS_WELL": str(tmp_path / "well")}
    done = subprocess.run(
        command, env=os.environ | more, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    first, again, retried, last = done.stdout.split("preparing ")[1:]
    assert "\n2 tasks were begun again, for their process had ended" in first, first
    num_bad = len(KILLERS) + len(EATERS)
    assert f"pool: {NUM_ROWS - num_bad} of {NUM_ROWS} rows kept (set aside: image_not_opened {num_bad})" in first
    assert f"pool: {num_bad} rows are set aside because an image of theirs ended the process" in first
    assert "`recombine data prepare STUDY --retry-images` opens such images again" in first
    aside = pq.read_table(tmp_path / "quarantine.parquet").to_pylist()
    assert [row["index"] for row in aside] == sorted([*KILLERS, *EATERS])
    assert f"ended the process that opened it, which may take {limit_mib(ImageLimits())} MiB" in aside[0]["detail"]
    assert NO_MEMORY in aside[-1]["detail"]
    assert "is current: nothing to do" in again, "what trials are trained on changes by nothing but a word"
    assert f"{NUM_ROWS - num_bad} of {NUM_ROWS} images are known from before; opening {num_bad} images" in retried
    assert f"pool: {NUM_ROWS} of {NUM_ROWS} rows kept\n" in retried
    assert "ended the process" not in last
    assert "is current: nothing to do" in last


def test_a_process_of_its_own_says_of_an_image_what_this_one_does(tmp_path: Path) -> None:
    save_picture(tmp_path / "a.png", 1)
    (tmp_path / "b.png").write_bytes(b"no picture")
    limits = ImageLimits(max_mpx=1.0)
    with LimitedProcess(limits) as process:
        for path in (tmp_path / "a.png", tmp_path / "b.png"):
            state = file_state(path)
            for open_one in (open_image, open_mask):
                assert process.run(open_one, path, state) == open_one(path, state, limits)


def test_work_is_counted_by_what_it_is(tmp_path: Path) -> None:
    assert [begin(tmp_path, ["open", "a"]), begin(tmp_path, ["open", "b"]), begin(tmp_path, ["open", "a"])] == [1, 1, 2]
    assert num_repeated(tmp_path) == 1


def test_what_ends_its_process_again_and_again_is_given_up_with_words(tmp_path: Path) -> None:
    import pyarrow as pa

    save_picture(tmp_path / "a.png", 1)
    write_json(tmp_path / "f.json", [mat_record(0, "a.png", 0)])
    files = pa.table({"subset": ["s"], "role": ["pool"], "file": ["f.json"], "path": [str(tmp_path / "f.json")]})
    sources, staging = {"s": source(tmp_path)}, tmp_path / "staging"
    read_into(staging, files, sources)
    for number in range(MAX_ATTEMPTS):
        finish_in(tmp_path / f"store {number}", staging, sources)
    where = "s/pool/f.json row 0"
    told = f"the process that opened images from {where} to {where} has ended {MAX_ATTEMPTS} times"
    with pytest.raises(ReaderError, match=told):
        finish_in(tmp_path / "store", staging, sources)
    for _ in range(MAX_ATTEMPTS - 1):
        list(read_and_count(files, sources=sources, staging=staging))
    (row,) = next(read_and_count(files, sources=sources, staging=staging)).to_pylist()
    assert row["failure"] == f"f.json: the process that read it ended {MAX_ATTEMPTS} times; does memory run out?"
