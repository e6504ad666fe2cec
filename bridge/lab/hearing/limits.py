"""What counts as heard, and as not heard, in dB of the level that voices are said at."""

from __future__ import annotations

from typing import Final

PRESENT_WITHIN_DB: Final = 3.0
ABSENT_BELOW_DB: Final = 60.0
ABSENT_BELOW_BESIDE_MUSIC_DB: Final = 20.0
"""Music is in all tones, fainter than a voice."""
MUSIC_ABOVE_BELOW_DB: Final = 30.0
"""Sound that is no tone and louder than this far below a voice is music; a codec's noise is not."""
