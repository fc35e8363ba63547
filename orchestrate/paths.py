"""Paths in a clone."""

import os
import sys
from pathlib import Path

ROOT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).resolve().parent.parent)
"""The project's folder; Meltano's variable names it if this package is elsewhere, as in an image."""
RUN = ROOT / ".run"
"""The folder for everything that `make run` creates; `make clean` removes it."""
LOGS = RUN / "logs"
LOG_SUFFIX = "-meltano.log"
"""The suffix of logs of Meltano's processes; it follows the time and the process id."""
TRANSFORM = ROOT / "transform"
DEMO_SEEDS = TRANSFORM / "demo_seeds"
BIN = Path(sys.executable).parent
"""The folder with the programs of the virtual environment."""
