"""Settings of all tests: one thread for small operations, which lose more at barriers than they gain."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
