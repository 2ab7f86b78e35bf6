"""A backbone of two pretrained parts, small enough for a laptop, and what fine-tunes of it cost."""
