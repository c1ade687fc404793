"""Training programs: `python -m training.<system>`. Data, losses, loops in plain torch; several processes by torchrun."""
