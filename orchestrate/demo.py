"""The demo's sandbox: each run has the same account, except for 1 % that changed since the last run."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrate.crms import Crm
from orchestrate.errors import RunError
from orchestrate.output import say
from orchestrate.paths import BIN, DEMO_SEEDS, LOGS, RUN
from orchestrate.processes import owned


class Demo:
    """The demo's account of one CRM.

    Args:
        crm: The CRM.
        deals: The number of deals; everything else scales with it.

    Raises:
        RunError: An earlier run made the demo with another size.
    """

    def __init__(self, crm: Crm, deals: int) -> None:
        self._crm = crm
        self._path = RUN / f"demo-{crm.name.lower()}.json"
        self._now = datetime.now(UTC).replace(microsecond=0)
        self._life: dict[str, Any] = {"deals": deals, "born": self._now.isoformat(), "lived": []}
        if self._path.exists():
            self._life = json.loads(self._path.read_text())
            self._life["lived"].append(self._now.isoformat())
        if self._life["deals"] != deals:
            raise RunError(
                f"The demo's account has {self._life['deals']:,} deals, not {deals:,}: "
                "`make clean` removes it, so that the next run makes another."
            )

    @contextmanager
    def serve(self) -> Iterator[dict[str, str]]:
        """Start the sandbox, and yield the variables with its address.

        Raises:
            RunError: The sandbox does not start.
        """
        deals = self._life["deals"]
        say(f"Starting the sandbox: a {self._crm.name} account of {deals:,} invented deals")
        LOGS.mkdir(parents=True, exist_ok=True)
        name = f"{self._crm.name.lower()}-sandbox"
        log = LOGS / f"{name}.log"
        # It is in .run because a killed run leaves it behind; the next run replaces it.
        ready = RUN / f"{name}.json"
        ready.unlink(missing_ok=True)
        with log.open("wb") as output, owned(self._command(ready), stdout=output, stderr=output) as process:
            while not ready.exists():
                if process.poll() is not None:
                    said = log.read_text(errors="replace").strip()[-500:]
                    raise RunError(f"The sandbox did not start; it said: {said}")
                time.sleep(0.05)
            self._path.write_text(json.dumps(self._life))
            address = json.loads(ready.read_text())
            ready.unlink()
            yield {
                **{name: address[part] for name, part in self._crm.sandbox_variables.items()},
                "DEMO_SEEDS": "true",
                "ACQUISITION_CHANNEL_COLUMN": "canal_de_aquisicao",
            }

    def _command(self, ready: Path) -> list[str | Path]:
        born = datetime.fromisoformat(self._life["born"])
        age = (self._now - born).total_seconds()
        program, *options = self._crm.sandbox
        return [
            BIN / program,
            *options,
            *("--figures", DEMO_SEEDS),
            *("--port", "0", "--ready-file", ready, "--deals", str(self._life["deals"])),
            *("--now", self._life["born"], "--clock-offset", str(age)),
            *(part for moment in self._life["lived"] for part in ("--live-at", moment)),
        ]
