"""Where things are in a clone."""

import os
import sys
from pathlib import Path

ROOT = Path(os.environ.get("MELTANO_PROJECT_ROOT") or Path(__file__).resolve().parent.parent)
"""The project; Meltano's variable names it where this package is not beside it, as in an image."""
RUN = ROOT / ".run"
"""What `make run` makes; `make clean` removes it."""
LOGS = RUN / "logs"
LOG_SUFFIX = "-meltano.log"
"""How the names of logs of Meltano's processes end; the moment and the process are in front."""
TRANSFORM = ROOT / "transform"
DEMO_SEEDS = TRANSFORM / "demo_seeds"
BIN = Path(sys.executable).parent
"""The programs of the virtual environment."""
