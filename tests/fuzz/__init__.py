"""Coverage-guided fuzzing of every decoder that strangers talk to."""
