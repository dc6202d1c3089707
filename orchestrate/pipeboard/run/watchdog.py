"""The watchdog: ends a run whose supervisor died, and holds the run lock until all of it ended.

    python watchdog.py CHANNEL GRACE COMMAND...

A small process between the supervisor and Meltano. Supervisor, watchdog and Meltano each hold a
copy of the socket on which the supervisor took the run lock, so that the database frees the lock
only when the last of the three has ended, whichever is killed. When the supervisor dies (its end of
CHANNEL closes), the watchdog ends Meltano and its children: SIGTERM, and SIGKILL after GRACE
seconds. When the watchdog dies, the supervisor does that.

Linux and macOS can pass sockets between processes. Only the standard library is imported, so that
the process starts fast and stays small.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time

FAILED_TO_START = 127
#: Children of a command that was killed get this long to end by themselves.
ORPHAN_TIMEOUT_SECONDS = 5.0


def main(arguments: list[str]) -> int:
    """Run the command to its end; return its exit code, 128 + N for signal N."""
    channel = socket.socket(fileno=int(arguments[0]))
    grace, command = float(arguments[1]), arguments[2:]
    # A handler, not "ignore": that would be inherited by the command.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    _, locks, _, _ = socket.recv_fds(channel, 16, 1)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=locks
        )
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", flush=True)
        return FAILED_TO_START
    with contextlib.suppress(OSError):
        channel.sendall(b"%d\n" % process.pid)
    threading.Thread(target=watch, args=(channel, process, grace), daemon=True).start()
    code = process.wait()
    # If it was killed, its children end too before the lock is free. Their input has ended, so that
    # most end by themselves, and in order.
    steps = ((0, ORPHAN_TIMEOUT_SECONDS), (signal.SIGTERM, grace), (signal.SIGKILL, 1.0))
    for step, timeout_seconds in steps:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, step)
        if is_gone(process.pid, timeout_seconds):
            break
    return code if code >= 0 else 128 - code


def watch(channel: socket.socket, process: subprocess.Popen[bytes], grace: float) -> None:
    """Hold each lock that the supervisor sends; end everything when the supervisor is gone.

    Only the command gets SIGTERM: it passes the signal on, and a second one would make a loader
    drop its batch.
    """
    locks: list[int] = []
    while True:
        try:
            message, fresh, _, _ = socket.recv_fds(channel, 16, 1)
        except OSError:
            message, fresh = b"", []
        if not message:
            break
        for lost in locks:
            os.close(lost)
        locks = list(fresh)
    process.terminate()
    if not is_gone(process.pid, grace):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def is_gone(group: int, timeout_seconds: float) -> bool:
    """Wait until a process group is empty; return whether it is."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
