"""The parts of a study, in order."""
