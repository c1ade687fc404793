"""Pre-training of the camera branch with 2-D boxes, pixel classes and depth at once."""
