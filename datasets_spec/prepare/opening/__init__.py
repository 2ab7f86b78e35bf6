"""Opening images, so that one which ends its process ends nothing else."""
