"""Reading for several streams at once: the shared scan, windows of time, logs of deals."""
