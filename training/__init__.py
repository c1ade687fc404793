"""Training programs: `python -m training.<system>`. Plain torch; several processes by torchrun."""
