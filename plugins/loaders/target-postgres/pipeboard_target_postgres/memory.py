"""A process that gets no more memory: what it tells, and what it needs to tell it.

No other module of the package is imported here, since `main` needs this one if imports fail.
"""

EX_UNAVAILABLE = 69
OUT_OF_MEMORY = (
    "Out of memory: the process got no more memory (or no more threads). Give it more, or lower "
    "batch_size_rows and batch_size_bytes; nothing is lost, run again."
)
#: What the end of a run without memory needs, for its log line and its report. It is never written
#: to, so that the system gives it addresses only.
_reserve = [bytes(1 << 20)]


def release_reserve() -> None:
    """Free what is held back for the end of a run that failed, perhaps for lack of memory."""
    _reserve.clear()
