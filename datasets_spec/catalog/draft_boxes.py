"""What the four numbers of published boxes mean, as far as numbers and image sizes tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from datasets_spec.boxes import BoxForm, numbers_in, on_grid
from datasets_spec.images.files import resolve_beneath
from datasets_spec.images.limits import ImageRefused, quiet_warnings
from datasets_spec.sample import RawSample

# Of open answers, how many must be four numbers so that they are taken for boxes.
_MOST = 0.8
# Of ten boxes in thousandths, on images this small, one would reach past the edge if they were pixels.
_NUM_ENOUGH, _SMALL_SIDE = 10, 500


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxGuess:
    """What the boxes of a file seem to be.

    Args:
        form: What the numbers mean; None where no form fits.
        surety: ``likely`` where no other form fits, else ``doubtful``.
        why: What it was told by.
        in_words: Whether they stand in the answers, so that ``answer_kind: box`` is needed.
    """

    form: BoxForm | None
    surety: str
    why: str
    in_words: bool


def guess_boxes(samples: Sequence[RawSample], root: Path | None) -> BoxGuess | None:
    """Guesses what boxes mean; None where there are none.

    Args:
        samples: Records of a file.
        root: Folder of its images, if it was found.
    """
    boxes = [(sample, sample.box) for sample in samples if sample.box is not None]
    spelled = [(s, numbers_in(s.answer)) for s in samples if s.answer_kind == "open"]
    spelled = [(sample, numbers) for sample, numbers in spelled if len(numbers) == 4]
    in_words = not boxes and len(spelled) >= _MOST * len(samples) > 0
    if in_words:
        boxes = spelled
    if not boxes:
        return None
    if all(0 <= number <= 1 for _, box in boxes for number in box):
        why = "every number lies between 0 and 1"
        return BoxGuess(form="corners_fractions", surety="likely", why=why, in_words=in_words)
    sized = [(box, size) for sample, box in boxes if (size := _size(root, sample.image_paths)) is not None]
    fitting = [form for form in get_args(BoxForm) if sized and all(on_grid(box, form, size) for box, size in sized)]
    is_small = len(sized) >= _NUM_ENOUGH and all(max(size) <= _SMALL_SIDE for _, size in sized)
    if is_small and len(fitting) > 1:
        fitting = [form for form in fitting if form != "corners_thousandths"]
    if not fitting:
        why = "no form fits all boxes" if sized else "the images were not found"
        return BoxGuess(form=None, surety="doubtful", why=why, in_words=in_words)
    others = ", ".join(fitting[1:])
    return BoxGuess(
        form=fitting[0],
        surety="doubtful" if others else "likely",
        why=f"{others} would fit the {len(sized)} boxes tried, too" if others else f"alone fits {len(sized)} boxes",
        in_words=in_words,
    )


def _size(root: Path | None, published: Sequence[str]) -> tuple[int, int] | None:
    """Width and height from the header of an image; None where it cannot be read."""
    from PIL import Image

    if root is None or len(published) != 1:
        return None
    try:
        with quiet_warnings(), Image.open(resolve_beneath(root, published[0])) as image:
            return image.size
    except (ImageRefused, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
