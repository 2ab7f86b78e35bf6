"""What a GPU makes of fine-tunes: speed, memory and packing, in one script."""
