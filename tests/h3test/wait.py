# SPDX-License-Identifier: Apache-2.0
"""Bounded waiting, and the one factor by which slow runs (valgrind, sanitizers) stretch it."""
import os
import time

SLOWNESS = float(os.environ.get("H3TEST_SLOWNESS", "1"))


def bound(seconds):
    return seconds * SLOWNESS


def until(condition, timeout=10, what=None, step=0.02):
    """The first true value of condition(); AssertionError when the time is over."""
    deadline = time.monotonic() + bound(timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %gs: %s; last value %r" % (
                bound(timeout), what or getattr(condition, "__name__", condition), value))
        time.sleep(step)
