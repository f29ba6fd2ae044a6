"""audiorec mels: spectrograms of an audio folder."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError

TRACKS_A_BATCH = 16
FAILURES_SHOWN = 5


def mels(
    audio: Annotated[
        Path, typer.Argument(metavar="AUDIO", help="Folder with audio files, at any depth.")
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Mels file to write or go on with.")
    ] = Path("mels.h5"),
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that decode.", show_default="all cores"),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(help="CSV with a column path and track_id, title, artist … to be used."),
    ] = None,
):
    """Make log-mel spectrograms of the middle 30 s of every track in a folder.

    Every file is tried, whatever its suffix; files that cannot be decoded are counted here and
    listed with the reason in the mels file. Run again, it does only what is new or has changed:
    after Ctrl-C the same command goes on.
    """
    from audiorec_cli import files
    from audiorec_cli.audio import library
    from audiorec_cli.audio.spectrogram import SpectrogramSettings

    paths = _audio_paths(audio, out)
    renamed = library.read_manifest(manifest) if manifest else {}
    files.require_writable(out, "mels")
    folder, settings = str(audio.absolute()), SpectrogramSettings()
    with files.MelsWriter(out, audio_folder=folder, params=asdict(settings)) as writer:
        _check_goes_on(writer.mels, out, folder, settings)
        writer.move_audio_folder(folder)
        failures, new = _analyse(writer, folder, paths, renamed, workers, settings)
        kept = len(writer.mels.tracks)
        if kept + new == 0:
            if writer.is_new:
                writer.discard()
            _show_failures(failures)
            raise AudiorecError(f"{audio}: no file there could be decoded: put audio files in it")
        writer.set_failures([(failure.path, failure.reason) for failure in failures])
    _show_failures(failures)
    gone = len(set(writer.mels.tracks.path) - set(paths))
    console.note(
        f"{out}: {kept + new} tracks, {new} of them new, {len(failures)} files failed"
        + (f", {gone} tracks no longer in {audio}" if gone else "")
    )


def _audio_paths(audio, out):
    from audiorec_cli.audio import library

    if not audio.exists():
        raise AudiorecError(f"{audio}: no such folder: name the folder that holds your audio files")
    if not audio.is_dir():
        raise AudiorecError(f"{audio} is a file: name the folder that holds your audio files")
    paths = [p for p in library.walk(audio) if (audio / p).absolute() != out.absolute()]
    if not paths:
        raise AudiorecError(f"{audio} holds no files: put audio files in it, or name another")
    return paths


def _check_goes_on(held, out, folder, settings):
    """Refuse to mix libraries or settings in one file; a library may have moved as a whole."""
    if held.params != asdict(settings):
        raise AudiorecError(f"{out} was made with other settings: name another OUT, or remove it")
    if held.audio_folder != folder and os.path.isdir(held.audio_folder) and len(held.tracks):
        raise AudiorecError(
            f"{out} holds the tracks of {held.audio_folder}: name another OUT for {folder}"
        )


def _analyse(writer, folder, paths, renamed, workers, settings):
    """Analyse what is new or changed and store it. Returns the failures and the number of new."""
    from audiorec_cli.audio import analysis, library

    held = writer.mels.tracks
    rows = {path: row for row, path in enumerate(held.path)}
    todo = [path for path in paths if not _is_unchanged(held, rows, folder, path)]
    track_ids = library.name_tracks([p for p in paths if p not in rows], taken=held.track_id)
    track_ids |= {path: held.track_id[row] for path, row in rows.items()}
    failures, new, batch = [], 0, []
    results = analysis.analyse_all(folder, todo, workers=workers, settings=settings)
    try:
        with console.progress("mels", total=len(todo), unit="files") as advance:
            for result in results:
                if isinstance(result, analysis.Failure):
                    failures.append(result)
                else:
                    path = result.columns["path"]
                    result.columns["track_id"] = track_ids[path]
                    result.columns.update(renamed.get(path, {}))
                    if path in rows:
                        writer.replace(rows[path], result)
                    else:
                        batch.append(result)
                        new += 1
                if len(batch) == TRACKS_A_BATCH:
                    writer.append(batch)
                    batch = []
                advance(1, f"{len(failures)} failed")
    finally:
        if batch:
            writer.append(batch)
    return failures, new


def _is_unchanged(held, rows, folder, path):
    if path not in rows:
        return False
    state = os.stat(os.path.join(folder, path))
    row = rows[path]
    return state.st_size == held.size[row] and state.st_mtime_ns == held.mtime_ns[row]


def _show_failures(failures):
    """Name the first files that should have been audio; the rest is listed in the mels file."""
    from audiorec_cli.audio.library import is_named_audio

    named = [failure for failure in failures if is_named_audio(failure.path)]
    for failure in named[:FAILURES_SHOWN]:
        console.note(f"failed: {failure.path}: {failure.reason}")
    if len(named) > FAILURES_SHOWN:
        console.note(f"… and {len(named) - FAILURES_SHOWN} more, listed in the mels file")
