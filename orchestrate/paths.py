"""Where things are in a clone."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / ".run"
"""What `make run` makes; `make clean` removes it."""
LOGS = RUN / "logs"
LOG_SUFFIX = "-meltano.log"
"""How the names of logs of Meltano's processes end; the moment and the process are in front."""
TRANSFORM = ROOT / "transform"
DEMO_SEEDS = TRANSFORM / "demo_seeds"
BIN = Path(sys.executable).parent
"""The programs of the virtual environment."""
