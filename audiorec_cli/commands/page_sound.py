"""What a page plays: the tracks' own files, or clips of them beside it."""

import os
import re
from pathlib import Path
from urllib.parse import quote_from_bytes

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError

SECONDS = 30.0
TIME_LIMIT_S = 120.0
CLIPS = "clips"
CLIP = re.compile(r"[0-9a-f]{16}\.mp3(\.\d+\.part)?")  # whole, or left by a run that was stopped
HEARD_S = 10.0  # at least, of a track that is played from where a filter fires
FAILURES_SHOWN = 5
MOVED = "if the folder has moved run 'audiorec mels' and 'audiorec predict' on it"


class LinkedSound:
    """Plays the files where they are.

    predicted : Predictions of the tracks; folder : of the page; workers : to write clips
    clips : the names of the clips that are played
    """

    clips = frozenset()

    def __init__(self, predicted, folder, *, workers=None):
        self._tracks, self._audio_folder = predicted.tracks, predicted.audio_folder
        self._folder = os.path.realpath(folder)

    def of(self, row, start_s, second=None):
        """The Sound of a track: 30 s from start_s [s], from `second` of the track on if given."""
        from audiorec_cli.output.page import Sound

        first = start_s if second is None else second
        until_s = max(start_s + SECONDS, first + HEARD_S)
        return Sound(self._url(row), round(first, 2), round(until_s, 2))

    def _url(self, row):
        path = self._path(row)
        try:
            path = os.path.relpath(os.path.realpath(path), self._folder)
        except ValueError:  # another drive of Windows
            return Path(path).absolute().as_uri()
        return quote_from_bytes(os.fsencode(path.replace(os.sep, "/")))

    def _path(self, row):
        return os.path.join(self._audio_folder, self._tracks.path[row])

    def finish(self):
        """Tell how many of the files are not there."""
        rows = range(len(self._tracks))
        if n_gone := sum(not os.path.exists(self._path(row)) for row in rows):
            console.note(
                f"{n_gone} of {len(rows)} audio files are not in {self._audio_folder}: {MOVED}"
            )


class ClippedSound(LinkedSound):
    """Plays clips in a folder beside the page, which `finish` writes; those it has it keeps."""

    def __init__(self, predicted, folder, *, workers):
        super().__init__(predicted, folder)
        self._folder_of_clips, self._workers = Path(folder) / CLIPS, workers
        self._jobs = {}

    def of(self, row, start_s, second=None):
        """As in LinkedSound, of the clip that begins at start_s."""
        from audiorec_cli.audio.clips import clip_name
        from audiorec_cli.output.page import Sound

        tracks = self._tracks
        name = clip_name(
            tracks.path[row],
            start_s,
            size=int(tracks.size[row]),
            mtime_ns=int(tracks.mtime_ns[row]),
        )
        self._jobs[name] = (self._path(row), str(self._folder_of_clips / name), start_s)
        from_s = 0.0 if second is None else min(max(0.0, second - start_s), SECONDS - HEARD_S)
        return Sound(f"{CLIPS}/{name}", round(from_s, 2), SECONDS)

    def finish(self):
        """Write the clips that are not there yet, and tell which cannot be.

        Raises AudiorecError where there is none at all.
        """
        from audiorec_cli.audio.clips import write_clips

        self._folder_of_clips.mkdir(exist_ok=True)
        jobs = [job for job in self._jobs.values() if not os.path.exists(job[1])]
        if not jobs:
            return
        failures = []
        with console.progress("page", total=len(jobs), unit="clips") as advance:
            for (source, _, _), why in write_clips(
                jobs, seconds=SECONDS, workers=self._workers, time_limit_s=TIME_LIMIT_S
            ):
                failures += [(source, why)] if why else []
                advance()
        self._tell(failures)

    def _tell(self, failures):
        """Name the first files that gave no clip, and count them."""
        for source, why in failures[:FAILURES_SHOWN]:
            console.note(f"no clip: {source}: {why}")
        if len(failures) == len(self._jobs):
            raise AudiorecError(f"no file in {self._audio_folder} gives a clip: {MOVED}")
        if failures:
            console.note(f"{len(failures)} of {len(self._jobs)} clips are missing")

    @property
    def clips(self):
        """The names of the clips that are played."""
        return frozenset(self._jobs)


def remove_other_clips(folder, names):
    """Remove the clips of an earlier page that are none of those named."""
    clips = Path(folder) / CLIPS
    if not clips.is_dir():
        return
    others = [p for p in clips.iterdir() if CLIP.fullmatch(p.name) and p.name not in names]
    for path in others:
        path.unlink()
    if others:
        n_clips = console.counted(len(others), "clip")
        told = "" if names else ": the page plays the files where they are, without --copy-audio"
        console.note(f"{n_clips} of an earlier page taken away{told}")
    if not any(clips.iterdir()):
        clips.rmdir()
