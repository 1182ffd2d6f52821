"""Whether this machine can make lanes: pairs of network namespaces."""

import os

import pytest

from benchmark.errors import Unsupported
from lane import Lane


def needs_namespaces():
    """Skip where namespaces can't be made, with the reason."""
    if os.geteuid():
        pytest.skip("network namespaces need root")
    try:
        with Lane(90):
            pass
    except (Unsupported, OSError) as error:
        pytest.skip(str(error))
