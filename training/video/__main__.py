"""`python -m training.video`: see training/video/trainer.py."""

import sys

from training.video.trainer import main

sys.exit(main())
