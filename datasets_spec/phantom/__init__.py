"""The embedded corpus: procedural images and questions, exact and seeded."""
