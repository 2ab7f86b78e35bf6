"""Real DICOM files, written here: their picture comes in as the file says it is seen, and nothing else does."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from datasets_spec.images.decode import decode
from datasets_spec.images.dicom import is_dicom
from datasets_spec.images.limits import ImageLimits, ImageRefused
from datasets_spec.images.strip_metadata import without_metadata
from tests.datasets_spec.images.shown import pixel_hash

pydicom = pytest.importorskip("pydicom")
LIMITS = ImageLimits(max_mpx=1.0)
CANARY = "Canary^Patient"


def dicom(pixels: NDArray[Any], **changes: Any) -> bytes:
    """A DICOM file with a patient's name in it, as a scanner would write it."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = CTImageStorage
    found.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    found.PatientName, found.PatientID, found.InstitutionName = CANARY, CANARY, CANARY
    found.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    found.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        found.PlanarConfiguration = 0
    found.Rows, found.Columns = pixels.shape[:2]
    bits = 8 * pixels.dtype.itemsize
    found.BitsAllocated = found.BitsStored = bits
    found.HighBit = bits - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.PixelData = pixels.tobytes()
    for name, value in changes.items():
        setattr(found, name, value)
    buffer = BytesIO()
    found.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def grey(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(decode(data, LIMITS).convert("L"))


def hounsfield() -> NDArray[np.int16]:
    return np.array([[-1000, -160, 40, 240, 3000]], dtype=np.int16) + 1024


def refused(data: bytes) -> tuple[str, str]:
    with pytest.raises(ImageRefused) as caught:
        decode(data, LIMITS)
    return caught.value.reason.value, caught.value.detail


def test_a_window_in_the_file_decides_the_greys() -> None:
    data = dicom(hounsfield(), RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=400)
    assert is_dicom(data)
    found = grey(data)[0].tolist()
    assert found[0] == 0
    assert found[1] <= 1
    assert found[2] == pytest.approx(128, abs=1)
    assert found[3:] == [255, 255]


def test_without_a_window_deep_pixels_are_not_guessed_and_plain_ones_are_taken() -> None:
    assert refused(dicom(hounsfield())) == (
        "image_format",
        "more than 8 bits and no window in the file; convert it first",
    )
    plain = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    assert np.array_equal(grey(dicom(plain)), plain)


def test_monochrome1_is_turned_round() -> None:
    plain = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    assert np.array_equal(grey(dicom(plain, PhotometricInterpretation="MONOCHROME1")), 255 - plain)


def test_colours() -> None:
    from pydicom.pixels import convert_color_space

    colours = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(decode(dicom(colours), LIMITS)), colours)
    ybr = convert_color_space(colours, "RGB", "YBR_FULL")
    turned = np.asarray(decode(dicom(ybr, PhotometricInterpretation="YBR_FULL"), LIMITS)).astype(int)
    assert np.abs(turned - colours).max() <= 3


def test_a_png_of_the_same_picture_has_the_same_hash_and_nothing_of_the_patient_is_stored() -> None:
    plain = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    data = dicom(plain)
    assert CANARY.encode() in data
    buffer = BytesIO()
    Image.fromarray(plain).save(buffer, "PNG")
    assert pixel_hash(data, LIMITS) == pixel_hash(buffer.getvalue(), LIMITS)
    stored = without_metadata(data, decode(data, LIMITS))
    assert stored.startswith(b"\x89PNG")
    assert CANARY.encode() not in stored
    assert pixel_hash(stored, LIMITS) == pixel_hash(data, LIMITS)


def test_files_that_are_no_single_picture_are_refused() -> None:
    plain = np.zeros((4, 4), dtype=np.uint8)
    assert refused(dicom(plain, NumberOfFrames=2, PixelData=bytes(32)))[1] == "more than one frame"
    assert refused(dicom(np.zeros((1001, 1000), dtype=np.uint8)))[0] == "image_too_large"
    assert refused(dicom(plain, PixelData=bytes(3)))[0] == "image_undecodable"
    assert refused(dicom(plain)[:200])[0] in ("image_undecodable", "image_format")
    assert refused(bytes(128) + b"DICM" + b"\xff" * 400)[0] in ("image_undecodable", "image_format")


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dicom(np.zeros((4, 4), dtype=np.uint8))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert refused(data) == ("image_format", "DICOM: install recombine[dicom]")


def test_tags_that_name_people_are_never_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    read = pydicom.dcmread

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(read(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(pydicom, "dcmread", watched)
    decode(dicom(np.zeros((4, 4), dtype=np.uint8)), LIMITS)
    assert "PixelData" in seen[0]
    assert not [element for element in seen[0] if CANARY in str(element.value)]


def test_a_row_with_a_dicom_image_is_staged(tmp_path: Path) -> None:
    from tests.datasets_spec.readers.test_regions import asked, staged

    (tmp_path / "scan.dcm").write_bytes(dicom(np.full((10, 20), 7, dtype=np.uint8)))
    (row,) = staged(tmp_path, [asked(Answer="normal") | {"image": "scan.dcm"}])
    assert (row["reason"], row["answer"]) == (None, "normal")


def encoded(data: bytes, syntax: str, frame: bytes | None = None) -> bytes:
    """A DICOM file with the pixels of another under a transfer syntax; a frame of it where it is compressed."""
    from pydicom.encaps import encapsulate

    found = pydicom.dcmread(BytesIO(data))
    found.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    if frame is not None:
        found.PixelData = encapsulate([frame])
        found["PixelData"].is_undefined_length = True
    buffer = BytesIO()
    found.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


DEFLATED, RLE, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"


def run_lengths(*segments: bytes) -> bytes:
    """A frame of run lengths."""
    import struct

    starts = [64 + sum(len(segment) for segment in segments[:number]) for number in range(len(segments))]
    return struct.pack("<L15L", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


def test_a_deflated_file_shows_what_it_held_before() -> None:
    plain = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    assert np.array_equal(grey(encoded(dicom(plain), DEFLATED)), plain)
    assert refused(encoded(dicom(plain), DEFLATED)[:-9])[0] == "image_truncated"


def test_a_deflated_bomb_is_refused_before_it_unfolds() -> None:
    import tracemalloc

    bomb = encoded(dicom(np.zeros((4, 4), dtype=np.uint8), EncapsulatedDocument=bytes(100_000_000)), DEFLATED)
    assert len(bomb) < 200_000
    limits = ImageLimits(max_mpx=1.0, max_bytes=4_000_000)
    tracemalloc.start()
    with pytest.raises(ImageRefused) as caught:
        decode(bomb, limits)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (caught.value.reason.value, caught.value.detail) == (
        "image_too_large",
        "inflates to more than 4000000 bytes",
    )
    assert peak_bytes < 3 * limits.max_bytes


def test_run_lengths_are_read_and_their_bombs_refused() -> None:
    plain = np.repeat(np.arange(4, dtype=np.uint8), 4).reshape(4, 4)
    runs = b"".join(bytes([253, value]) for value in range(4))  # each value four times
    assert np.array_equal(grey(encoded(dicom(plain), RLE, run_lengths(runs))), plain)
    bomb = run_lengths(bytes([129, 0]) * 100_000)
    assert refused(encoded(dicom(plain), RLE, bomb)) == ("image_too_large", "run lengths of more than 16 pixels")


def test_a_picture_inside_must_have_the_size_that_the_file_says() -> None:
    def jpeg(width: int, height: int) -> bytes:
        buffer = BytesIO()
        Image.new("L", (width, height), 128).save(buffer, "JPEG")
        return buffer.getvalue()

    shell = dicom(np.zeros((16, 16), dtype=np.uint8))
    assert grey(encoded(shell, JPEG, jpeg(16, 16))).tolist() == [[128] * 16] * 16
    assert refused(encoded(shell, JPEG, jpeg(3000, 3000))) == (
        "image_undecodable",
        "3000x3000 pixels inside a DICOM picture of 16x16",
    )
    assert refused(encoded(shell, JPEG, b"no picture at all"))[0] == "image_format"


def test_samples_that_no_picture_has_are_refused() -> None:
    assert refused(dicom(np.zeros((4, 4), dtype=np.uint8), SamplesPerPixel=200))[0] == "image_format"


def test_a_tall_picture_is_windowed_as_its_rows_are() -> None:
    deep = np.random.default_rng(0).integers(0, 3000, (700, 3), dtype=np.int16)
    window = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": 40, "WindowWidth": 400}
    one_by_one = np.concatenate([grey(dicom(deep[row : row + 1], **window)) for row in range(0, 700, 50)])
    assert np.array_equal(grey(dicom(deep, **window))[::50], one_by_one)
