"""How long a run takes from its beginning to its end, by what one like it took."""

from __future__ import annotations

from keras16.results import Record

START_SECONDS = 8.0  # that a process, its imports and its data usually take
# A run takes at most so many times what its epochs take, for validation and test, and
# so long to start: of 183 in docs/results, on two busy cores with sleeps, 6 took
# longer.
BESIDE, LONGEST_START_SECONDS = 1.5, 30.0


def of_whole(record: Record, seconds: float) -> float:
    """What a run like this one takes from its beginning to its end.

    Its epochs tell, whatever else happened to it: one that went on from a checkpoint
    took less, and one that sat through the machine's sleep more.

    Args:
        record: Of a run that finished.
        seconds: That it took.
    """
    first = (record.compile_seconds or 0.0) + (record.first_epoch_seconds or 0.0)
    others = max(len(record.epochs) - 1, 0) * (record.median_epoch_seconds or 0.0)
    trained = first + others
    if not trained:
        return seconds
    return min(max(seconds, trained), BESIDE * trained + LONGEST_START_SECONDS)
