"""The command line: `tap-pipedrive`, `python -m tap_pipedrive`."""

import logging
import os
import sys

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.reader import stop_without_reader
from tap_pipedrive.tap import TapPipedrive

LOOPBACK = "localhost,127.0.0.1,::1"
"""Hosts that no proxy can reach, such as a sandbox's."""


def main() -> None:
    """Run the tap. An error that it cannot solve is logged as one sentence, and the exit code is 1."""
    stop_without_reader()
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), LOOPBACK)))
    try:
        TapPipedrive.cli()
    except PipedriveError as error:
        logging.getLogger(TapPipedrive.name).error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
