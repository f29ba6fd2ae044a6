"""Clips of tracks as MP3, which every browser plays."""

import hashlib
import os
from functools import partial

import soundfile

from audiorec_cli.audio.analysis import REASONS, WORKER_MODULES, prepare_worker
from audiorec_cli.audio.decode import Undecodable, read_excerpts
from audiorec_cli.errors import AudiorecError
from audiorec_cli.workers import Lost, supervised_map

SAMPLE_RATE = 44_100  # Hz
COMPRESSION = 0.6  # of libsndfile's scale, between the best sound at 0 and the smallest file
SUFFIX = ".mp3"


def clip_name(path, start_s, *, size, mtime_ns):
    """What the clip of a file is called: another name when the file, or the start, is another."""
    key = f"{path}\0{start_s:.2f}\0{size}\0{mtime_ns}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(key, digest_size=8).hexdigest() + SUFFIX


def write_clip(source, out, *, start_s, seconds):
    """Write some seconds of an audio file as MP3, mono, whole or not at all.

    Raises Undecodable when there is no such sound, OSError where a file cannot be opened, and
    AudiorecError where the disk is full.
    """

    def encode(excerpt):
        sound = excerpt.samples[: round(excerpt.sound_s * SAMPLE_RATE)]
        temporary = f"{out}.{os.getpid()}.part"
        try:
            soundfile.write(
                temporary, sound, SAMPLE_RATE, format="MP3", compression_level=COMPRESSION
            )
            os.replace(temporary, out)
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudiorecError(
                f"{out} cannot be written ({error}): make room, then run the same command again"
            ) from error
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)

    read_excerpts(
        source, encode, starts=lambda _: [start_s], seconds=seconds, sample_rate=SAMPLE_RATE
    )


def write_clips(jobs, *, seconds, workers, time_limit_s):
    """Write many clips in worker processes.

    jobs : (source, out, start_s) each
    Yields (job, why there is none), None for a clip that was written, as they are done.
    """
    outcomes = supervised_map(
        partial(_write, seconds=seconds),
        jobs,
        workers=workers,
        time_limit_s=time_limit_s,
        prepare=prepare_worker,
        modules=WORKER_MODULES,
    )
    for job, outcome in outcomes:
        yield job, REASONS[outcome] if isinstance(outcome, Lost) else outcome


def _write(job, *, seconds):
    source, out, start_s = job
    try:
        write_clip(source, out, start_s=start_s, seconds=seconds)
    except Undecodable as error:
        return str(error)
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    except MemoryError:
        return "takes more memory than a track may"
    return None
