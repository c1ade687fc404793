"""`python -m training.points`: see training/points/trainer.py."""

import sys

from training.points.trainer import main

sys.exit(main())
