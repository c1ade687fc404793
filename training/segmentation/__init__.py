"""Segmentation of LiDAR sweeps: SPVCNN, MinkUNet, SPVNAS. `python -m training.segmentation` trains."""
