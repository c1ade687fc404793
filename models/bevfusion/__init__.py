"""BEVFusion (Liu et al., ICRA 2023): cameras and LiDAR in one bird's-eye view, in the official key layout.

BEV maps are [batch, channels, x cells, y cells] from end to end: dimension 2 is x, dimension 3 is y of the LiDAR frame.
"""
