"""Networks on dense grids of points (PVCNN, PointNet, voxels). `python -m training.points` trains."""
