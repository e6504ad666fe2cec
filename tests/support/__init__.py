"""What tests of several kinds share."""

import os
from typing import Final

ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""Set before numpy is loaded. Its threads wait for each other in a loop: with two cores that are
busy, to measure one second of sound takes 0.25 s and up to 1.6 s, instead of 0.03 s and up to
0.05 s; and for as long as that the test sends none of its tones."""

os.environ.update(ONE_THREAD)
