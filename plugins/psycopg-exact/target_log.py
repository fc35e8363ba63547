"""No content of a row in what target-postgres logs of lines that it cannot read."""

import logging
import re

LOGGERS = ("singer_sdk.singerlib.encoding.simple", "target-postgres")

NO_VALUE = re.compile(r"Could not parse value .* for field ('\w+')", re.DOTALL)


class Discreet(logging.Filter):
    """Takes the content of rows out of the SDK's messages about bad input."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the record; return that it is logged."""
        message = record.getMessage()
        if message.startswith("Unable to parse"):
            record.msg = (
                "A line of the input is no JSON, as when the tap ended within it; nothing of it is loaded."
            )
        elif found := NO_VALUE.search(message):
            record.msg = f"A value of the field {found[1]} is no date or time."
        else:
            return True
        record.args, record.exc_info = (), None
        return True


def be_discreet() -> None:
    """Filter what the target logs from now on."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(Discreet())
