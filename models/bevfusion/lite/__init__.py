"""bevfusion-lite: the parts of a BEVFusion that runs in real time on CPU cores."""
