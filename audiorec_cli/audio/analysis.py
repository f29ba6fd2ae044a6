"""Audio files to rows of the mels file, in a pool of worker processes."""

import os
from collections import deque
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from audiorec_cli.audio.decode import Undecodable, read_middle
from audiorec_cli.audio.library import read_tags
from audiorec_cli.audio.spectrogram import log_mel_spectrogram
from audiorec_cli.records import AnalysedTrack
from audiorec_cli.workers import deaf_to_ctrl_c, process_pool, usable_cores

FILES_AHEAD = 4  # a worker: enough to keep it busy, few enough to hold in memory


@dataclass(frozen=True)
class Failure:
    """A file that gave no track, and the reason."""

    path: str
    reason: str


def analyse(folder, path, settings):
    """The AnalysedTrack of one file, or the Failure that it is; track_id is left to the caller."""
    full_path = os.path.join(folder, path)
    try:
        state = os.stat(full_path)
        excerpt = read_middle(full_path, seconds=settings.seconds, sample_rate=settings.sample_rate)
    except Undecodable as error:
        return Failure(path, str(error))
    except OSError as error:
        return Failure(path, f"cannot be opened: {os.strerror(error.errno)}")
    mel = log_mel_spectrogram(excerpt.samples, settings)
    if not np.isfinite(mel).all():
        return Failure(path, "holds samples too large to be sound")
    columns = {
        **read_tags(full_path),
        "path": path,
        "duration_s": excerpt.duration_s,
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    return AnalysedTrack(columns, np.array([excerpt.start_s]), mel[None].astype(np.float16))


def analyse_all(folder, paths, *, workers, settings):
    """Analyse many files in worker processes: yields what `analyse` gives, in order.

    A worker that dies takes no other file with it: what it had in hand is tried again, one file
    at a time, and the one that kills its worker again is a Failure.
    """
    workers = workers or usable_cores()
    remaining = deque(paths)
    while remaining:
        try:
            yield from _through_pool(folder, remaining, workers, settings)
        except BrokenProcessPool:
            for _ in range(min(len(remaining), workers * FILES_AHEAD)):
                yield _alone(folder, remaining.popleft(), settings)


def _through_pool(folder, remaining, workers, settings):
    """Yield the results of `remaining`, taking each path off it as its result is known."""
    waiting, submitted = deque(), 0
    with process_pool(workers, initializer=_prepare_worker) as pool:
        while remaining:
            while submitted < len(remaining) and len(waiting) < workers * FILES_AHEAD:
                path = remaining[submitted]
                with deaf_to_ctrl_c():
                    waiting.append(pool.submit(analyse, folder, path, settings))
                submitted += 1
            result = waiting.popleft().result()
            remaining.popleft()
            submitted -= 1
            yield result


def _alone(folder, path, settings):
    with process_pool(1, initializer=_prepare_worker) as pool:
        try:
            with deaf_to_ctrl_c():
                future = pool.submit(analyse, folder, path, settings)
            return future.result()
        except BrokenProcessPool:
            return Failure(path, "crashed the decoder")


def _prepare_worker():
    # the pool is the parallelism, and what decoders write to stderr is no message of ours
    threadpool_limits(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
