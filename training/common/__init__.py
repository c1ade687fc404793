"""Shared by all trainings: the loop, resuming, logging, releasing weights, configs, progress, seeds."""
