"""The 2-D video detector and its twin without shift. `python -m training.detection2d` trains."""
