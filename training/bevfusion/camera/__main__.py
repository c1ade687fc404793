"""`python -m training.bevfusion.camera`: see training/bevfusion/camera/trainer.py."""

import sys

from training.bevfusion.camera.trainer import main

sys.exit(main())
