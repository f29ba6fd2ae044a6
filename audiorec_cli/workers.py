"""Worker processes, and the work that Ctrl-C must not cut in two."""

import contextlib
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import resource_tracker


def usable_cores():
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_pool(workers=None, *, initializer=None):
    """A pool of processes, as many as there are cores unless a number is given.

    They are spawned, for an open HDF5 file does not survive a fork. Submit to it within
    `deaf_to_ctrl_c`: Ctrl-C is for the process that holds the results.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        workers or usable_cores(), mp_context=context, initializer=initializer
    )


@contextlib.contextmanager
def deaf_to_ctrl_c():
    """Processes that are started within never receive Ctrl-C, not even while they start."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # starting it would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def uninterrupted():
    """Hold back a Ctrl-C that arrives within until the end, so that the work is whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived = []
    before = signal.signal(signal.SIGINT, lambda *_: arrived.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if arrived:
            raise KeyboardInterrupt
