"""The testbed's programs import one another as scripts do, by bare names; their tests do too."""

import sys
from pathlib import Path

TESTBED = Path(__file__).resolve().parents[2] / "datasets" / "testbed"
sys.path[:0] = [str(TESTBED / "players"), str(TESTBED)]
