"""`make check-account` finds out which uncertain facts about Pipedrive's API hold for the account in .env.

It only reads, costs at most 82 API tokens, and writes a file without personal data for a bug report.
"""

import subprocess

import click

from orchestrate import environment, masking
from orchestrate.crms import CRMS
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import BIN, ROOT, RUN

FOUND = RUN / "account-check.json"


@click.command()
def main() -> None:
    """Check the account, and print where the file is."""
    variables = environment.settings()
    masking.learn(variables)
    environment.check(variables)
    crm = CRMS["pipedrive"]
    if not crm.has_account(variables):
        raise RunError(f".env names no account of {crm.name}: set {crm.credentials[0][0]}.")
    asked = subprocess.run(
        [BIN / "tap-pipedrive", "--config=ENV", "--check-account"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        raise RunError(masking.mask(asked.stderr.strip()[-500:]))
    RUN.mkdir(mode=0o700, exist_ok=True)
    FOUND.write_text(asked.stdout)
    say(f"Written, without personal data: {FOUND}")


if __name__ == "__main__":
    main()
