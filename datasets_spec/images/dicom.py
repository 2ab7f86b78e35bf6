"""DICOM files by pydicom (the extra ``dicom``): the picture and what decides its greys; nothing else is read.

Tags that name patients, sites or dates are never parsed: only those below are asked for. Pixels of more than 8 bits are
shown through the window that the file gives; without one, which greys matter is not guessed.
"""

from __future__ import annotations

import logging
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from datasets_spec.images.dicom_bounds import inflated, require_bounded_frame
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
MISSING_READER: Final = "DICOM: install recombine[dicom]"
_MAX_BITS: Final = 32
# Rows of a picture windowed at once: windows are computed in 8 bytes a pixel, several times over.
_ROWS_AT_ONCE: Final = 256
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
    from datasets_spec.images.limits import NO_MEMORY, ImageRefused, quiet_warnings

    try:
        import pydicom
    except ImportError:
        raise ImageRefused(QuarantineReason.image_format, MISSING_READER) from None
    try:
        # Every reader error of a foreign file is its own fault: pydicom raises whatever its parsing met.
        # Its warnings quote values.
        logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
        with quiet_warnings():
            found = pydicom.dcmread(BytesIO(inflated(data, limits)), specific_tags=list(_TAGS))
            _require_picture(found, limits)
            require_bounded_frame(found)
            return _picture(found)
    except ImageRefused:
        raise
    except MemoryError:
        raise ImageRefused(QuarantineReason.image_not_opened, NO_MEMORY) from None
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
    if int(found.SamplesPerPixel) not in (1, 3) or int(found.BitsAllocated) > _MAX_BITS:
        raise ImageRefused(QuarantineReason.image_format, "samples that are not read here")


def _picture(found: Any) -> Image.Image:
    import numpy as np
    from PIL import Image
    from pydicom.pixels import apply_color_lut

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
    if not has_window and (int(found.BitsStored) != 8 or int(found.PixelRepresentation)):
        detail = "more than 8 bits and no window in the file; convert it first"
        raise ImageRefused(QuarantineReason.image_format, detail)
    grey = np.empty(pixels.shape, dtype=np.uint8)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = pixels[start : start + _ROWS_AT_ONCE]
        shown = _windowed(rows, found) if has_window else rows
        if kind == "MONOCHROME1":  # the smallest value is white
            shown = 255 - shown
        grey[start : start + _ROWS_AT_ONCE] = np.rint(shown)
    return Image.fromarray(grey).convert("RGB")


def _windowed(pixels: Any, found: Any) -> Any:
    """Greys of 0 to 255 by the file's own window, not yet rounded."""
    import numpy as np
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    shown = np.asarray(apply_voi_lut(apply_modality_lut(pixels, found), found), dtype=np.float64)
    low, high = _range_of(found)
    return (shown.clip(low, high) - low) * (255.0 / max(high - low, 1e-9))


def _range_of(found: Any) -> tuple[float, float]:
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
