"""What every room shares: the loop, resuming, logging, releasing weights, configs, progress, seeds."""
