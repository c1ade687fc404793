"""BEVFusion: `python -m training.bevfusion.camera` pre-trains the camera branch of bevfusion-lite."""
