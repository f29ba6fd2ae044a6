"""audiorec mels: spectrograms of an audio folder."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import DEFAULT_NAMES, Workers

TRACKS_A_BATCH = 16
FAILURES_SHOWN = 5

AudioFolder = Annotated[
    Path, typer.Argument(metavar="AUDIO", help="Folder with audio files, at any depth.")
]
OutFile = Annotated[Path, typer.Argument(metavar="OUT", help="Mels file to write or go on with.")]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Names new tracks: a column path, and track_id, title, artist, album, isrc or mbid.",
    ),
]
NFft = Annotated[int, typer.Option(min=512, max=16384, help="Samples a window, at 22,050 Hz.")]
HopLength = Annotated[
    int, typer.Option(min=128, max=16384, help="Samples from one window to the next.")
]


def mels(
    audio: AudioFolder,
    out: OutFile = DEFAULT_NAMES["mels"],
    workers: Workers = None,
    manifest: ManifestFile = None,
    n_fft: NFft = 2048,
    hop_length: HopLength = 1102,
):
    """Make log-mel spectrograms of the middle 30 s of every track in a folder.

    Every file is tried, whatever its suffix; files that cannot be decoded are counted here and
    listed with the reason in the mels file. Run again, it does only what is new or has changed:
    after Ctrl-C the same command goes on. The windows are those of Dieleman (2014); --n-fft 1024
    --hop-length 512 are those of van den Oord et al. (2013).
    """
    from audiorec_cli import files
    from audiorec_cli.audio.spectrogram import SpectrogramSettings

    paths = _audio_paths(audio, out)
    files.require_writable(out, "mels")
    folder = os.path.abspath(audio)
    settings = SpectrogramSettings(n_fft=n_fft, hop_length=hop_length)
    with files.MelsWriter(
        out, audio_folder=folder, params=asdict(settings), n_frames=settings.n_frames
    ) as writer:
        held = writer.mels
        _check_goes_on(held, out, folder, settings)
        todo = [path for path in paths if not _is_unchanged(held.tracks, folder, path)]
        names = _names(paths, held.tracks, manifest)
        writer.move_audio_folder(folder)
        failures, n_changed = _analyse(
            writer, folder, todo, names, workers=workers, settings=settings
        )
        writer.set_failures([(failure.path, failure.reason) for failure in failures])
        _show_failures(failures)
        n_tracks, n_new = len(writer), len(writer) - len(held.tracks)
    if not n_tracks:
        raise AudiorecError(f"{audio}: no file there could be decoded: put audio files in it")
    n_gone = len(set(held.tracks.path) - set(paths))
    console.note(
        f"{out}: {n_tracks} tracks, {n_new} of them new"
        + (f", {n_changed} changed" if n_changed else "")
        + _counted(failures)
        + (f", {n_gone} no longer in {audio}" if n_gone else "")
    )


def _audio_paths(audio, out):
    from audiorec_cli.audio import library

    if not audio.exists():
        raise AudiorecError(f"{audio}: no such folder: name the folder that holds your audio files")
    if not audio.is_dir():
        raise AudiorecError(f"{audio} is a file: name the folder that holds your audio files")
    itself = os.path.abspath(out)
    paths = [p for p in library.walk(audio) if os.path.abspath(audio / p) != itself]
    if not paths:
        raise AudiorecError(f"{audio} holds no files: put audio files in it, or name another")
    return paths


def _check_goes_on(held, out, folder, settings):
    """Refuse to mix libraries or settings in one file; a library may have moved as a whole."""
    if held.params != asdict(settings):
        raise AudiorecError(f"{out} was made with other settings: name another OUT, or remove it")
    before = held.audio_folder
    if len(held.tracks) and os.path.isdir(before) and not os.path.samefile(before, folder):
        raise AudiorecError(f"{out} holds the tracks of {before}: name another OUT for {folder}")


def _is_unchanged(held, folder, path):
    row = held.row_of_path.get(path)
    try:
        state = os.stat(os.path.join(folder, path))
    except OSError:
        return False
    return row is not None and (state.st_size, state.st_mtime_ns) == (
        held.size[row],
        held.mtime_ns[row],
    )


def _names(paths, held, manifest):
    """What to call each track: {path: {"track_id": …, and what the manifest says}}."""
    from audiorec_cli.audio import library

    new = [path for path in paths if path not in held.row_of_path]
    names = {path: {"track_id": held.track_id[row]} for path, row in held.row_of_path.items()}
    said = library.read_manifest(manifest) if manifest else {}
    ids = [said[path]["track_id"] for path in new if "track_id" in said.get(path, {})]
    twice = next((i for i in ids if ids.count(i) > 1 or i in held.track_id), None)
    if twice is not None:
        raise AudiorecError(f"{manifest} gives two files the track_id {twice}: mend it")
    unnamed = [path for path in new if "track_id" not in said.get(path, {})]
    given = library.name_tracks(unnamed, taken=[*held.track_id, *ids])
    for path in new:
        names[path] = {"track_id": given.get(path), **said.get(path, {})}
    if n_unknown := len(set(said) - set(paths)):
        console.note(f"{manifest}: {n_unknown} of its {len(said)} paths are not in the folder")
    if n_held := len(set(said) & set(held.row_of_path)):
        console.note(f"{manifest}: {n_held} of its tracks are held already and keep their names")
    return names


def _analyse(writer, folder, todo, names, *, workers, settings):
    """Analyse the files of `todo` and store their tracks.

    Returns the failures, and how many tracks took the place of what was there before.
    """
    from audiorec_cli.audio import analysis

    rows, failures, n_changed, batch = writer.mels.tracks.row_of_path, [], 0, []
    if not todo:
        return failures, n_changed
    results = analysis.analyse_all(folder, todo, workers=workers, settings=settings)
    try:
        with console.progress("mels", total=len(todo), unit="files") as advance:
            for result in results:
                if isinstance(result, analysis.Failure):
                    failures.append(result)
                else:
                    path = result.columns["path"]
                    result.columns.update(names[path])
                    if path in rows:
                        writer.replace(rows[path], result)
                        n_changed += 1
                    else:
                        batch.append(result)
                if len(batch) == TRACKS_A_BATCH:
                    full, batch = batch, []
                    writer.append(full)
                advance(1, f"{len(failures)} without a track")
    finally:
        if batch:
            writer.append(batch)
    return failures, n_changed


def _counted(failures):
    from audiorec_cli.audio.library import is_named_audio

    n_audio = sum(is_named_audio(failure.path) for failure in failures)
    n_other = len(failures) - n_audio
    return (f", {n_audio} files failed" if n_audio else "") + (
        f", {n_other} without audio" if n_other else ""
    )


def _show_failures(failures):
    """Name the first files that should have been audio; the rest is listed in the mels file."""
    from audiorec_cli.audio.library import is_named_audio

    named = [failure for failure in failures if is_named_audio(failure.path)]
    for failure in named[:FAILURES_SHOWN]:
        console.note(f"failed: {failure.path}: {failure.reason}")
    if len(named) > FAILURES_SHOWN:
        console.note(f"… and {len(named) - FAILURES_SHOWN} more, listed in the mels file")
