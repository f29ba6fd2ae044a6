"""Audio files to rows of the mels file, in worker processes."""

import ctypes
import gc
import math
import os
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from audiorec_cli.audio.decode import Undecodable, read_excerpts
from audiorec_cli.audio.library import read_tags
from audiorec_cli.records import AnalysedTrack, Failure
from audiorec_cli.workers import Lost, supervised_map

try:
    import resource
except ImportError:  # Windows, where a worker's memory has no limit
    resource = None

FULL = "full"
WORKER_BYTES = 4 * 2**30  # more than any sane file makes a decoder ask for
# mallopt's names for when freed memory goes back to the system, and how much is kept
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, KEPT_BYTES = -1, -3, 256 * 2**20
WORKER_MODULES = ("audiorec_cli.audio.spectrogram", "audiorec_cli.audio.mp3")
REASONS = {
    Lost.DIED: "crashed the decoder",
    Lost.TIMED_OUT: "took longer than the time limit",
}


def excerpt_starts(duration_s, *, seconds, excerpts):
    """Where in a track its excerpts begin, in seconds.

    excerpts : FULL for as few as cover the whole track; or a number, of which as many are spread
        over the track as fit without overlap, each in the middle of its share of the track
    Returns at least one start, 0 where the track is shorter than an excerpt.
    """
    last = max(0.0, duration_s - seconds)
    if excerpts == FULL:
        return np.linspace(0, last, max(1, math.ceil(duration_s / seconds)))
    n = max(1, min(excerpts, int(duration_s // seconds)))
    return last * (np.arange(n) + 0.5) / n


def analyse(path, *, folder, settings, excerpts):
    """The AnalysedTrack of one file, or the Failure that it is; track_id is left to the caller."""
    full_path = os.path.join(folder, path)
    try:
        state = os.stat(full_path)
        duration_s, kept = read_excerpts(
            full_path,
            lambda excerpt: (_mel(excerpt, settings), excerpt.start_s, excerpt.sound_s),
            starts=partial(excerpt_starts, seconds=settings.seconds, excerpts=excerpts),
            seconds=settings.seconds,
            sample_rate=settings.sample_rate,
        )
        tags = read_tags(full_path)
    except OSError as error:
        return Failure(path, f"cannot be opened: {os.strerror(error.errno)}")
    except Undecodable as error:
        return Failure(path, str(error), state.st_size, state.st_mtime_ns)
    except MemoryError:
        return Failure(path, "takes more memory than a track may", state.st_size, state.st_mtime_ns)
    columns = {
        **tags,
        "path": path,
        "duration_s": duration_s,
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    mels, start_s, sound_s = zip(*kept, strict=True)
    return AnalysedTrack(columns, np.array(start_s), np.array(sound_s), np.stack(mels))


def _mel(excerpt, settings):
    from audiorec_cli.audio.spectrogram import as_float16, log_mel_spectrogram

    mel = log_mel_spectrogram(excerpt.samples, settings)
    if not np.isfinite(mel).all():
        raise Undecodable("holds samples that are not finite numbers, or too large to be sound")
    return as_float16(mel)


def analyse_all(folder, paths, *, workers, settings, excerpts, time_limit_s):
    """Analyse many files in worker processes: yields what `analyse` gives, in order.

    A file that takes longer than the limit, or whose decoder crashes, is a Failure and takes no
    other file with it. One that takes long is overtaken by those behind it.
    """
    outcomes = supervised_map(
        partial(analyse, folder=folder, settings=settings, excerpts=excerpts),
        paths,
        workers=workers,
        time_limit_s=time_limit_s,
        prepare=prepare_worker,
        modules=WORKER_MODULES,
    )
    for path, outcome in outcomes:
        yield outcome if not isinstance(outcome, Lost) else _lost(folder, path, outcome)


def _lost(folder, path, why):
    try:
        state = os.stat(os.path.join(folder, path))
    except OSError:
        return Failure(path, REASONS[why])
    return Failure(path, REASONS[why], state.st_size, state.st_mtime_ns)


def prepare_worker():
    """Make this process one that analyses files, and nothing else, from now on."""
    from audiorec_cli.audio import spectrogram  # noqa: F401 - before any file's time runs

    threadpool_limits(1)  # the workers are the parallelism
    # what decoders write to stderr is no message of ours
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (WORKER_BYTES, WORKER_BYTES))
    keep_memory()


def keep_memory():
    """Hold on to freed memory: to get it anew for every file takes a sixth of the time."""
    gc.freeze()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
