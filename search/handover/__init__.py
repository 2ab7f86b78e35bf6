"""A selection as others use it: rows, images, recipe and adapter for another trainer, cards, answers to one image."""
