"""How the renderer's functions are compiled: without the GIL, IEEE division; products may be fused into sums.

Every pixel runs the same machine code whichever thread draws its row, so results do not depend on threads. A `kernel`
is called from Python and cached on disk with everything that it calls; a `helper` is called by kernels only and gets no
entry point of its own, which saves time to compile; `inlined` is for helpers with many arguments and one caller. None
of them counts references or makes arrays (see simulator/jit.py); `maker` is for the kernels that do.
"""

from typing import Any

from numba import njit

from perception_nodes.simulator.jit import UNCOUNTED

_SHARED: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "arcp"}}
_INNER: Any = {**_SHARED, **UNCOUNTED, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_OUTER: Any = {**_SHARED, "cache": True}
maker = njit(**_OUTER)
kernel = njit(**_OUTER, **UNCOUNTED)
helper = njit(**_INNER)
inlined = njit(forceinline=True, **_INNER)
