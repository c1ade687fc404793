"""`python -m training.detection2d`: see training/detection2d/trainer.py."""

import sys

from training.detection2d.trainer import main

sys.exit(main())
