from __future__ import annotations

import torch

# Threads that wait for each other make these tiny models several times slower on a busy machine.
torch.set_num_threads(1)
