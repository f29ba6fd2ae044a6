"""A run of `mels` over a library: what is to do, what becomes of it, and what to say of it."""

import os
import time

from audiorec_cli import console
from audiorec_cli.records import Failure

SECONDS_BETWEEN_WRITES = 2.0
EXCERPTS_A_WRITE = 256
EXCERPTS_AN_EXCHANGE = 1024  # some 150 MB; it writes the whole file anew
FAILURES_SHOWN = 5


class Run:
    """Brings the mels file of an open MelsWriter up to date with its audio folder.

    paths : every file of the folder, relative to it
    names : {path: the columns that name its track}
    retry : try again what failed before and has not changed since
    prune : take tracks out whose files are gone
    """

    def __init__(self, writer, folder, paths, names, *, retry, prune):
        self._writer, self._names = writer, names
        self._held = set(writer.mels.tracks.path)
        gone = self._held - set(paths)
        if prune:
            self._remove(gone)
        self._n_gone, self._pruned = len(gone), prune
        self._todo, self._failed_before = self._sort(folder, paths, retry)
        self._n_kept = len(paths) - len(self._todo) - len(self._failed_before)
        if self._failed_before != writer.mels.failures:
            writer.set_failures(self._failed_before)
        self._failed, self._n_new, self._n_changed, self._n_short = [], 0, 0, 0
        self._n_lost = 0
        self._batch, self._failures, self._outgrown = [], [], []
        self._written = time.monotonic()

    def _sort(self, folder, paths, retry):
        """The paths to analyse, and the failures to leave alone."""
        held = self._writer.mels
        failure_of = {failure.path: failure for failure in held.failures}
        todo, failed_before = [], []
        for path in paths:
            state = _state(os.path.join(folder, path))
            row, failure = held.tracks.row_of_path.get(path), failure_of.get(path)
            if row is not None and state == (held.tracks.size[row], held.tracks.mtime_ns[row]):
                continue
            if failure and state == (failure.size, failure.mtime_ns) and not retry:
                failed_before.append(failure)
            else:
                todo.append(path)
        return todo, failed_before

    def analyse(self, analyse_all):
        """Analyse what is new or has changed; analyse_all(paths) yields tracks and failures."""
        self._go_through(analyse_all, self._todo)
        self._exchange()
        # a file that was opened and is no track any more has no place among them
        failures = self._failed + self._failed_before
        lost = {failure.path for failure in failures if failure.size >= 0}
        self._n_lost = self._remove(lost)
        self._show_failures()

    def _exchange(self):
        """Put tracks that have another number of excerpts than before behind the others."""
        tracks, self._outgrown = self._outgrown, []
        self._remove([track.columns["path"] for track in tracks], tracks)

    def _remove(self, paths, batch=()):
        rows = self._writer.mels.tracks.row_of_path
        if found := [rows[path] for path in paths if path in rows]:
            self._writer.remove(found, batch)
        return len(found)

    def _go_through(self, analyse_all, paths):
        if not paths:
            return
        try:
            with console.progress("mels", total=len(paths), unit="files") as advance:
                for result in analyse_all(paths):
                    self._take(result)
                    advance(1, f"{len(self._failed)} without a track")
        except KeyboardInterrupt:
            self._write()
            console.note(
                f"stopped: {console.counted(len(self._writer), 'track')} kept, and the same "
                "command goes on"
            )
            raise
        finally:
            self._write()

    def _take(self, result):
        if isinstance(result, Failure):
            self._failed.append(result)
            self._failures.append(result)
        else:
            self._take_track(result)
        n_waiting = sum(len(track.mels) for track in self._batch)
        is_late = time.monotonic() - self._written > SECONDS_BETWEEN_WRITES
        if is_late or n_waiting >= EXCERPTS_A_WRITE:
            self._write()

    def _take_track(self, track):
        path, held = track.columns["path"], self._writer.mels
        track.columns.update(self._names[path])
        row = held.tracks.row_of_path.get(path)
        if row is None:
            self._batch.append(track)
        elif len(track.mels) == held.n_excerpts[row]:
            self._writer.replace(row, track)
        else:
            self._outgrown.append(track)
            if sum(len(track.mels) for track in self._outgrown) > EXCERPTS_AN_EXCHANGE:
                self._write()
                self._exchange()
        self._n_new += path not in self._held
        self._n_changed += path in self._held
        self._n_short += track.columns["duration_s"] < held.params["seconds"]

    def _write(self):
        batch, failures = self._batch, self._failures
        self._batch, self._failures, self._written = [], [], time.monotonic()
        if batch or failures:
            self._writer.append(batch, failures)

    def _show_failures(self):
        """Name the first files that should have been audio."""
        named, _ = _by_name(self._failed)
        for failure in named[:FAILURES_SHOWN]:
            console.note(f"failed: {failure.path}: {failure.reason}")
        if len(named) > FAILURES_SHOWN:
            console.note(f"… and {len(named) - FAILURES_SHOWN} more")

    def summary(self, audio, out):
        """What became of the library, on a line."""
        counts = {"new": self._n_new, "changed": self._n_changed, "kept": self._n_kept}
        told = [", ".join(f"{n} {what}" for what, n in counts.items() if n)]
        if self._n_short:
            told.append(f"{console.counted(self._n_short, 'short one')} padded with silence")
        named, others = _by_name(self._failed + self._failed_before)
        if named or others:
            told.append(
                f"{console.counted(len(named), 'file')} failed, {len(others)} without audio "
                f"(audiorec info {out} --failures)"
            )
        if self._failed_before:
            told.append(f"{len(self._failed_before)} of these not tried again (--retry)")
        if self._n_lost:
            told.append(f"{self._n_lost} taken out, whose files are no tracks any more")
        if self._n_gone:
            gone = "taken out" if self._pruned else "kept (--prune takes them out)"
            told.append(f"{self._n_gone} no longer in {audio}, {gone}")
        n_tracks = console.counted(len(self._writer), "track")
        return f"{out}: {n_tracks}: " + "; ".join(filter(None, told))


def _state(path):
    """(size, mtime_ns) of a file, None where there is none to be seen."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _by_name(failures):
    """Those whose names promised audio, and the others."""
    from audiorec_cli.audio.library import is_named_audio

    named = [failure for failure in failures if is_named_audio(failure.path)]
    return named, [failure for failure in failures if not is_named_audio(failure.path)]
