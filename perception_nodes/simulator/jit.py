"""How the simulator's hot loops are compiled: without the GIL, IEEE float32 as written, array references not counted.

Counting references costs an atomic operation on a cache line that all threads share, every time a function takes an
array out of a tuple or gets one as an argument; in loops over rays and pixels that was a fifth of their time. A `lean`
function counts none, and therefore makes no arrays: its caller hands it the room it needs. A `maker` makes arrays and
counts references; it is called once for a stretch of work.
"""

from typing import Any

from numba import njit

UNCOUNTED: Any = {"_nrt": False}
_SHARED: Any = {"cache": True, "nogil": True, "error_model": "numpy"}
maker = njit(**_SHARED)
lean = njit(**_SHARED, **UNCOUNTED)
