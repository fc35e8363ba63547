"""The command line: `tap-hubspot`, `python -m tap_hubspot`."""

import logging
import sys

from tap_hubspot.errors import HubspotError
from tap_hubspot.tap import TapHubspot


def main() -> None:
    """Run the tap; an error ends it with one sentence and exit code 1."""
    try:
        TapHubspot.cli()
    except HubspotError as error:
        logging.getLogger(TapHubspot.name).error("%s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
