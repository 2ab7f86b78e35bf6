import dataclasses
import io

import numpy as np
from PIL import Image

from datasets_spec.phantom.render import encode_png, render, render_float
from datasets_spec.phantom.scenes import Blob, sample_clutter
from datasets_spec.phantom.world import AREAS, BASE_SHAPES, IMAGE_SIZE, LOOKS, NUM_CELLS, NUM_ROWS, PATTERNS

PATCH = IMAGE_SIZE // NUM_ROWS


def test_grey_values_are_hardly_ever_clipped() -> None:
    """A base trained on unclipped arrays lost up to 2.4 points on stored 8-bit files in the feasibility study."""
    for modality in LOOKS:
        for shape in (*AREAS, *BASE_SHAPES):
            rngs = [np.random.default_rng(i) for i in range(12)]
            images = np.stack([render_float(sample_clutter(rng), modality, shape, rng) for rng in rngs])
            assert ((images < 0) | (images > 1)).mean() < 0.002, (modality, shape)


def test_every_cell_shows_its_blob_in_every_look() -> None:
    """No artefact may hide a lesion: each cell is compared with the same image without a blob."""
    for modality in LOOKS:
        for cell in range(NUM_CELLS):
            row, column = divmod(cell, NUM_ROWS)
            with_blob, without = (
                render_float(blobs, modality, "brain", np.random.default_rng(3))
                for blobs in ((Blob(cell, 0, False, False, False, True),), ())
            )
            patch = (slice(row * PATCH, (row + 1) * PATCH), slice(column * PATCH, (column + 1) * PATCH))
            # Smoothed over 3 pixels a side, the least visible blob (small, faint, bright) must stand out.
            assert _smooth(with_blob[patch]).max() - np.median(without[patch]) > 0.08, (modality, cell)


def _smooth(patch: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(patch, (3, 3))
    return np.asarray(windows.mean(axis=(2, 3)))


def test_polarity_takes_blobs_out_of_every_average() -> None:
    """The same blob bright and dark is the same picture turned over, so that no linear readout can find it."""
    averages = []
    for pattern in range(len(PATTERNS)):
        bright, dark = (
            render_float((Blob(5, pattern, True, True, True, is_bright),), "ct", "lung", np.random.default_rng(1))
            for is_bright in (True, False)
        )
        assert np.abs(bright - dark).max() > 0.3
        averages.append((bright + dark) / 2)
    # The average of both is the picture without a blob, whatever the pattern.
    assert all(np.allclose(average, averages[0], atol=1e-5) for average in averages)


def test_properties_can_be_seen() -> None:
    """Each property changes the blob's cell by more than the noise of the noisiest look."""
    plain = Blob(5, 0, False, False, False, True)
    for change in ({"pattern": 1}, {"pattern": 2}, {"large": True}, {"upright": True}, {"strong": True}):
        images = [
            render_float((blob,), "ultrasound", "bone", np.random.default_rng(2))
            for blob in (plain, dataclasses.replace(plain, **change))
        ]
        assert np.abs(images[0] - images[1]).max() > 0.07, change


def test_png_keeps_the_pixels() -> None:
    rng = np.random.default_rng(0)
    image = render(sample_clutter(rng), "ct", "lung", rng)
    decoded = np.asarray(Image.open(io.BytesIO(encode_png(image))))
    assert np.array_equal(decoded, image)
    assert decoded.shape == (IMAGE_SIZE, IMAGE_SIZE)
