"""Training programs, a room for each task: `python -m training.<room>` trains, `python -m training.<room>.evaluate`
scores. Plain torch; several processes by torchrun."""

import sys

from training.moved import refuse_old_command

refuse_old_command(sys.orig_argv)
