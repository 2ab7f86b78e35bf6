"""What the confirmation shows: finalists against comparators, and which of their seeds are still needed."""
