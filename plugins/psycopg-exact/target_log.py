"""Removes the content of rows from log messages of target-postgres about lines that it cannot read."""

import logging
import re

LOGGERS = ("singer_sdk.singerlib.encoding.simple", "target-postgres")

NO_VALUE = re.compile(r"Could not parse value .* for field ('\w+')", re.DOTALL)


class Discreet(logging.Filter):
    """Removes the content of rows from the SDK's messages about invalid input."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record, and return that it is logged."""
        message = record.getMessage()
        if message.startswith("Unable to parse"):
            record.msg = (
                "A line of the input is not JSON, such as an incomplete last line; nothing of it is loaded."
            )
        elif found := NO_VALUE.search(message):
            record.msg = f"A value of the field {found[1]} is not a date or time."
        else:
            return True
        record.args, record.exc_info = (), None
        return True


def be_discreet() -> None:
    """Filter the target's log from now on."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(Discreet())
