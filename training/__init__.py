"""Training programs, one package per task: `python -m training.<task>` trains, `python -m training.<task>.evaluate`
scores. Plain torch; several processes by torchrun."""

import sys

from training.moved import refuse_old_command

refuse_old_command(sys.orig_argv)
