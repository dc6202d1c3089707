"""Keeps a run from outliving its supervisor, and its lock from being freed before it has ended.

    python keeper.py CHANNEL GRACE COMMAND...

A small process between the supervisor and Meltano. It holds a copy of the socket on which the
supervisor took the run's lock, and so does Meltano: whoever of the three is killed, the database
sees the connection end, and frees the lock, only when the last of them has gone. When the
supervisor dies (its end of CHANNEL closes), the keeper ends Meltano and all that Meltano started,
gently first. When the keeper dies, the supervisor does.

Works wherever sockets can be handed from process to process: on Linux and macOS alike. Uses
nothing but the standard library, so that it starts at once and stays small.
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
#: Seconds that what a killed command left behind has to end by itself.
LEFT_ALONE = 5.0


def main(words: list[str]) -> int:
    """Run the command to its end; return its exit code, 128 + N for signal N."""
    channel = socket.socket(fileno=int(words[0]))
    grace, command = float(words[1]), words[2:]
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
    # What it left behind (it was killed itself, perhaps) ends too, before the lock is free. Its
    # input has ended already, so most ends by itself, and in order.
    for step, patience in ((0, LEFT_ALONE), (signal.SIGTERM, grace), (signal.SIGKILL, 1.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, step)
        if is_gone(process.pid, patience):
            break
    return code if code >= 0 else 128 - code


def watch(channel: socket.socket, process: subprocess.Popen[bytes], grace: float) -> None:
    """Hold whatever lock the supervisor sends; end everything when the supervisor is gone.

    The command alone is asked to end: it asks those it started, and once is what they take well.
    """
    held: list[int] = []
    while True:
        try:
            said, fresh, _, _ = socket.recv_fds(channel, 16, 1)
        except OSError:
            said, fresh = b"", []
        if not said:
            break
        for lost in held:
            os.close(lost)
        held = list(fresh)
    process.terminate()
    if not is_gone(process.pid, grace):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def is_gone(group: int, patience: float) -> bool:
    """Wait for a group to be empty; return whether it is."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return True
        time.sleep(0.1)
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
