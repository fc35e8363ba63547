"""Output for users."""

import sys

import click

from orchestrate.masking import mask


def say(text: str = "") -> None:
    """Print a line at once, even into a pipe, without any secret."""
    clear()
    click.echo(mask(text))


def warn(text: str) -> None:
    """Print a warning."""
    say(f"Warning: {text}")


def show(text: str) -> None:
    """Show a line that the next one replaces, on a terminal only."""
    if sys.stdout.isatty():
        click.echo(f"\r\033[K{mask(text)}", nl=False)


def clear() -> None:
    """Remove the line that `show` left."""
    if sys.stdout.isatty():
        click.echo("\r\033[K", nl=False)
