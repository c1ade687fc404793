"""Driving events in video: TSM, TSN and others. `python -m training.video` trains."""
