"""DICOM files by pydicom (the extra ``dicom``): the picture and what decides its greys; nothing else is read.

Tags that name patients, sites or dates are never parsed: only those below are asked for. Pixels of more than 8 bits are
shown through the window that the file gives; without one, which greys matter is not guessed.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from datasets_spec.sample import QuarantineReason

if TYPE_CHECKING:
    from PIL import Image

    from datasets_spec.images.limits import ImageLimits

# A preamble of 128 bytes, then this (DICOM PS3.10, 7.1).
_PREAMBLE: Final = 128
_MAGIC: Final = b"DICM"
_TAGS: Final = (
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleIntercept", "RescaleSlope",
    "ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelPaddingValue",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "PixelData",
)  # fmt: skip
_COLOUR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422")
_GREY: Final = ("MONOCHROME1", "MONOCHROME2")


def is_dicom(data: bytes) -> bool:
    """Says whether a file is DICOM, by its first bytes."""
    return data[_PREAMBLE : _PREAMBLE + len(_MAGIC)] == _MAGIC


def decode_dicom(data: bytes, limits: ImageLimits) -> Image.Image:
    """Decodes the one picture of a DICOM file.

    Args:
        data: The file.
        limits: What it may cost.

    Returns:
        The image in 8-bit RGB.

    Raises:
        ImageRefused: pydicom is not installed, or the file has no picture, several, more pixels than allowed, no window
            for its greys, or pixels in a compression that cannot be read here.
    """
    from datasets_spec.images.limits import ImageRefused, quiet_warnings

    try:
        import pydicom
    except ImportError:
        detail = "DICOM: install recombine[dicom]"
        raise ImageRefused(QuarantineReason.image_format, detail) from None
    try:
        # Every reader error of a foreign file is its own fault: pydicom raises whatever its parsing met.
        # Its warnings quote values.
        logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
        with quiet_warnings():
            found = pydicom.dcmread(BytesIO(data), specific_tags=list(_TAGS))
            _require_picture(found, limits)
            return _picture(found)
    except ImageRefused:
        raise
    except Exception as error:  # noqa: BLE001
        is_compressed = isinstance(error, NotImplementedError | RuntimeError)
        reason = QuarantineReason.image_format if is_compressed else QuarantineReason.image_undecodable
        detail = "a compression that is not read here" if is_compressed else "no readable DICOM file"
        raise ImageRefused(reason, detail) from None


def _require_picture(found: Any, limits: ImageLimits) -> None:
    from datasets_spec.images.limits import ImageRefused

    if "PixelData" not in found:
        raise ImageRefused(QuarantineReason.image_format, "DICOM without a picture")
    if int(found.get("NumberOfFrames") or 1) > 1:
        raise ImageRefused(QuarantineReason.image_format, "more than one frame")
    if int(found.Rows) * int(found.Columns) > limits.max_mpx * 1e6:
        raise ImageRefused(QuarantineReason.image_too_large, f"{found.Columns}x{found.Rows} pixels")


def _picture(found: Any) -> Image.Image:
    import numpy as np
    from PIL import Image
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

    from datasets_spec.images.limits import ImageRefused

    kind = str(found.PhotometricInterpretation)
    pixels = found.pixel_array  # [rows, columns] or [rows, columns, 3]
    if kind in _COLOUR and int(found.BitsStored) == 8:
        return Image.fromarray(pixels).convert("RGB")  # pydicom has turned YBR into RGB
    if kind == "PALETTE COLOR":
        colours = apply_color_lut(pixels, found)  # as deep as the palette's entries
        depth = 8 * colours.dtype.itemsize
        return Image.fromarray((colours >> (depth - 8)).astype(np.uint8)).convert("RGB")
    if kind not in _GREY:
        raise ImageRefused(QuarantineReason.image_format, "colours that are not read here")
    has_window = "VOILUTSequence" in found or ("WindowCenter" in found and "WindowWidth" in found)
    if has_window:
        shown = np.asarray(apply_voi_lut(apply_modality_lut(pixels, found), found), dtype=np.float64)
        low, high = _range_of(found, shown)
        grey = (shown.clip(low, high) - low) * (255.0 / max(high - low, 1e-9))
    elif int(found.BitsStored) == 8 and not int(found.PixelRepresentation):
        grey = pixels.astype(np.float64)
    else:
        detail = "more than 8 bits and no window in the file; convert it first"
        raise ImageRefused(QuarantineReason.image_format, detail)
    if kind == "MONOCHROME1":  # the smallest value is white
        grey = 255.0 - grey
    return Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")


def _range_of(found: Any, shown: Any) -> tuple[float, float]:
    """Black and white after the window: pydicom spreads it over the whole range of the stored values."""
    import numpy as np
    from pydicom.pixels import apply_modality_lut

    if "VOILUTSequence" in found:
        bits = int(found.VOILUTSequence[0].LUTDescriptor[2])
        return 0.0, float(2**bits - 1)
    bits, is_signed = int(found.BitsStored), bool(int(found.PixelRepresentation))
    ends = np.array([[-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if is_signed else [0, 2**bits - 1]])
    if "ModalityLUTSequence" in found:
        return 0.0, float(2 ** int(found.ModalityLUTSequence[0].LUTDescriptor[2]) - 1)
    low, high = sorted(np.asarray(apply_modality_lut(ends, found), dtype=np.float64).ravel().tolist())
    return low, high
