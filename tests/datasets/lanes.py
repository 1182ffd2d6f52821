"""Whether this machine can make lanes: pairs of network namespaces."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "datasets" / "testbed"))

from lane import Lane

from benchmark.errors import Unsupported


def needs_namespaces():
    """Skip where namespaces can't be made, with the reason."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    try:
        with Lane(90):
            pass
    except (Unsupported, OSError) as error:
        pytest.skip(str(error))
