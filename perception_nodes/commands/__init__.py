"""What the commands of `perception` do, one module each; imported by cli.py when a command runs."""
