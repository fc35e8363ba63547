"""Permissions of new files: they are private, as logs hold people's names and Meltano's run folder the token.

What is installed keeps the user's permissions. uv links it to a cache, from which it installs for other
projects too: a private file there would be unreadable for the users of a program that root installs later.
"""

import os

USERS_MASK = os.umask(0o077)
"""The umask with which this process was started, and with which it installs."""
os.umask(USERS_MASK)


def make_new_files_private() -> None:
    """Let only the user read the files that this process and its child processes write from now on."""
    os.umask(USERS_MASK | 0o077)
