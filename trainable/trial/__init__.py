"""One trial, from its data to its checkpoints, and the adapter that runs it under Ray Tune."""
