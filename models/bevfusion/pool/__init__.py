"""BEV pooling: the sum, in each cell of a bird's-eye-view grid, of the image features that depth lifts into it.

The two ideas are BEVFusion's (Liu et al., ICRA 2023, section III-C): which frustum point falls into which cell depends
on the calibration alone, so it is computed once (`association`); with the points sorted by cell, each cell is one sum
over an interval (`reduce`). The product of depth and features is taken inside that sum, so the tensor of depth x height
x width x channels is never built.
"""

from models.bevfusion.pool.association import Association, Grid, associate
from models.bevfusion.pool.cache import BevPool
from models.bevfusion.pool.reduce import bev_pool, pool_points

__all__ = ["Association", "BevPool", "Grid", "associate", "bev_pool", "pool_points"]
