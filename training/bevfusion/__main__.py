"""`python -m training.bevfusion`: see training/bevfusion/trainer.py."""

import sys

from training.bevfusion.trainer import main

sys.exit(main())
