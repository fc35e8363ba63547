"""The error that users see."""

import click

from orchestrate.masking import mask


class RunError(click.ClickException):
    """A sentence that says what is wrong and what to do; the exit code is 1."""

    def format_message(self) -> str:
        """Return the sentence without secrets."""
        return mask(self.message)
