"""What a process that gets no more memory tells the operator; `main` needs it before imports."""

EX_UNAVAILABLE = 69
OUT_OF_MEMORY = (
    "Out of memory: the process got no more memory (or no more threads). Give it more, or lower "
    "batch_size_rows and batch_size_bytes; nothing is lost, run again."
)
