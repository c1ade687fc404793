"""`python -m training.segmentation`: see training/segmentation/trainer.py."""

import sys

from training.segmentation.trainer import main

sys.exit(main())
