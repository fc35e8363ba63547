"""The command line: `tap-pipedrive`, `python -m tap_pipedrive`."""

import logging
import os
import sys

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.reader import stop_without_reader
from tap_pipedrive.tap import TapPipedrive


def main() -> None:
    """Run the tap. An error that it cannot solve is logged as one sentence, and the exit code is 1."""
    if sys.stdout is None:  # else the next file that is opened would take its place
        raise SystemExit("tap-pipedrive has no standard output: start it with one.")
    stop_without_reader()
    for name in ("NO_PROXY", "no_proxy"):  # no proxy can reach this machine's own addresses, as of a sandbox
        os.environ[name] = f"{os.environ.get(name, '')},localhost,127.0.0.1,::1".lstrip(",")
    try:
        TapPipedrive.cli()
    except PipedriveError as error:
        logging.getLogger(TapPipedrive.name).error("%s", error)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
