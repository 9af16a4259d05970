"""The time, by a clock that nobody can set while the program runs."""

import time
from typing import Final

_EPOCH: Final = time.time() - time.monotonic()


def now() -> float:
    """Return the seconds since the epoch, as they go by from the start of the program on.

    The system's clock may be put back by an hour, and a question with a minute left would have an hour more. This one
    can still be compared between processes, as a thread needs that one begins and another goes on with.
    """
    return _EPOCH + time.monotonic()
