"""The server of `warm.py` in the program's own environment: it imports the program once, and forks for each
start.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
from typing import Any


def serve(channel: socket.socket, program: str) -> None:
    """Start the program at each request, until the requesting test run ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the keeper processes
    while True:
        message, files, _, _ = socket.recv_fds(channel, 1 << 20, 4)
        if not message:
            return
        if os.fork() == 0:
            channel.close()
            keep(program, json.loads(message), *files)
        for file in files:
            os.close(file)


def keep(program: str, request: dict[str, Any], stdin: int, stdout: int, stderr: int, answer: int) -> None:
    """Start the program, and answer with its process id and, when it has ended, with its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.close(answer)
        for number, file in enumerate((stdin, stdout, stderr)):
            os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = [program, *request["arguments"]]
        runpy.run_path(program, run_name="__main__")
        sys.exit()
    for file in (stdin, stdout, stderr):
        os.close(file)
    os.write(answer, f"{process}\n".encode())
    _, status = os.waitpid(process, 0)
    os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the test run, which ends this process
    _, number, chosen, *modules = sys.argv
    for module in modules:
        importlib.import_module(module)
    assert threading.active_count() == 1, "a fork copies no other thread"
    gc.freeze()
    serve(socket.socket(fileno=int(number)), chosen)
