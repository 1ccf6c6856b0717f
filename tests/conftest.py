"""What all tests share."""

from __future__ import annotations

import os

# The suite runs one process a core; were each to start a thread a core as well, tiny models would mostly wait for one
# another. Set before torch is first imported, and for the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
