"""What an hour of a slot costs, from the prices that a study names."""

from __future__ import annotations

from collections.abc import Mapping

CPU, GPU = "cpu", "gpu"  # a processor; a GPU of a kind that has no price of its own


def slot_price(prices: Mapping[str, float], *, cpus: float, gpus: float, accelerator: str | None) -> float:
    """Return what one slot costs an hour.

    A processor without a price costs nothing beside a GPU: a machine with GPUs is rented as a whole.

    Args:
        prices: an hour of one `cpu`, one `gpu`, or one GPU of a kind by Ray's name of it.
        cpus: processors of the slot.
        gpus: GPUs of it.
        accelerator: their kind; None for any, which has the price of `gpu`, or of the only kind that has one.

    Raises:
        ValueError: what the slot occupies has no price.
    """
    kinds = [name for name in prices if name not in (CPU, GPU)]
    if not gpus:
        if CPU not in prices:
            raise ValueError(_missing("a slot without a GPU", CPU, prices))
        return cpus * prices[CPU]
    kind = accelerator or (kinds[0] if len(kinds) == 1 and GPU not in prices else GPU)
    if kind not in prices and GPU not in prices:
        slot = f"a slot with a GPU of kind {accelerator}" if accelerator else "a slot with a GPU of any kind"
        raise ValueError(_missing(slot, kind, prices))
    return gpus * prices.get(kind, prices.get(GPU, 0.0)) + cpus * prices.get(CPU, 0.0)


def _missing(slot: str, wanted: str, prices: Mapping[str, float]) -> str:
    return f"execution.prices has {', '.join(prices)}, and no price of {slot}: add `{wanted}: PRICE`"
