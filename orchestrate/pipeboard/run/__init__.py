"""One run of a job: the lock, Meltano, the proof, history and metrics."""
