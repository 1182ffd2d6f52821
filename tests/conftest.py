"""Settings of all tests: one thread for small operations, which lose more at barriers than they gain; no deadlines."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
# A first example may compile, and a machine may be busy: time says nothing about what is right.
settings.register_profile("search", deadline=None)
# A change is judged by the same examples each time, here and elsewhere; HYPOTHESIS_PROFILE=search looks for new ones.
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_collection_modifyitems(items):
    """Put files that train or sweep first, the whole program ahead: no process is to wait for a long one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, len(item.path.parts)))
