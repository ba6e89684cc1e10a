"""Ctrl-C and SIGTERM as a wish to stop: the run ends in order, its weights saved."""

from __future__ import annotations

import os
import signal
import threading
import types

SIGNALS = (signal.SIGINT, signal.SIGTERM)
MESSAGE = b"\nkeras16: stopping; the weights so far will be saved. Again to abort.\n"


class StopOnSignal:
    """A context in which the first signal sets `event` and the second one kills.

    Attributes:
        message: Written to standard error by the first signal.
        event: Set by the first SIGINT or SIGTERM.
        signal_number: That signal; None before it.
    """

    def __init__(self, message: bytes = MESSAGE) -> None:
        self.message = message
        self.event = threading.Event()
        self.signal_number: int | None = None

    @property
    def exit_code(self) -> int:
        """What a shell reports for a program that the signal ended: 130 or 143."""
        return 128 + (self.signal_number or signal.SIGINT)

    def __enter__(self) -> StopOnSignal:
        # Python lets only the main thread set handlers; elsewhere (a notebook's
        # worker, say) the caller's own handlers stay.
        in_main = threading.current_thread() is threading.main_thread()
        handled = SIGNALS if in_main else ()
        self._before = {number: signal.getsignal(number) for number in handled}
        for number in handled:
            signal.signal(number, self._stop)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, number: int, frame: types.FrameType | None) -> None:
        self.signal_number = number
        self.event.set()
        # The system's own handlers end the process even inside a long C++ call.
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        os.write(2, self.message)  # print() may not be called inside a handler
