"""A copy of the project in which the real Meltano runs."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT

from pipedrive_sandbox.testing import Sandbox

from .pipe import AT_ONCE, connection_settings

MELTANO = Path(sys.executable).with_name("meltano")


@dataclass
class Project:
    """A copy of the project with the original's plugins, and with its own runs, state and settings."""

    folder: Path
    blocks: tuple[str, ...] = ("tap-pipedrive", "target-postgres")

    def start(self, sandbox: Sandbox, database: str, *options: str, **settings: str) -> subprocess.Popen[str]:
        """Start `meltano run` with settings as in .env; its output includes everything that the plugins log."""
        own = {
            "MELTANO_PROJECT_ROOT": str(self.folder),
            "MELTANO_CLI_LOG_LEVEL": "debug",
            "TAP_PIPEDRIVE_API_TOKEN": sandbox.token,
            "TAP_PIPEDRIVE_API_URL": sandbox.url,
            **{f"TAP_PIPEDRIVE_{name.upper()}": str(value) for name, value in AT_ONCE.items()},
            **{
                f"TARGET_POSTGRES_{name.upper()}": str(value)
                for name, value in connection_settings(database).items()
            },
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "TARGET_", "MELTANO_"))}
        return subprocess.Popen(
            [MELTANO, "run", *options, *self.blocks],
            cwd=self.folder,
            env=inherited | own | settings,
            stdout=PIPE,
            stderr=STDOUT,
            text=True,
        )

    def run(self, sandbox: Sandbox, database: str, **settings: str) -> str:
        """Run Meltano, check that it succeeds, and return the output."""
        with self.start(sandbox, database, **settings) as meltano:
            output, _ = meltano.communicate()
        assert meltano.returncode == 0, output[-3000:]
        return output
