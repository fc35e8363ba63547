"""The command line: `tap-pipedrive`, `python -m tap_pipedrive`."""

import logging
import sys

from tap_pipedrive.errors import PipedriveError
from tap_pipedrive.tap import TapPipedrive


def main() -> None:
    """Run the tap; what it cannot solve ends with one sentence and exit code 1."""
    try:
        TapPipedrive.cli()
    except PipedriveError as error:
        logging.getLogger(TapPipedrive.name).error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
