"""audiorec mels: spectrograms of an audio folder."""

import os
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from audiorec_cli import console
from audiorec_cli.commands.analysing import Run
from audiorec_cli.errors import AudiorecError
from audiorec_cli.options import DEFAULT_NAMES, Workers

MAX_EXCERPTS = 1000
AGAIN = "Running again"
WINDOWS = "Windows"


def _excerpts(text):
    """A number of excerpts, or "full"."""
    if text == "full":
        return text
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_EXCERPTS:
        raise typer.BadParameter(f"{text!r} is neither 'full' nor a number from 1 to 1000.")
    return int(text)


AudioFolder = Annotated[
    Path, typer.Argument(metavar="AUDIO", help="Folder with audio files, at any depth.")
]
OutFile = Annotated[Path, typer.Argument(metavar="OUT", help="Mels file to write or go on with.")]
ManifestFile = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Names tracks in place of their tags: a column path, below AUDIO, and any of "
        "track_id, title, artist, album, genre, isrc and mbid. Tracks that OUT holds keep their "
        "names.",
    ),
]
Excerpts = Annotated[
    str,
    typer.Option(
        parser=_excerpts,
        metavar="N|full",
        help="Excerpts of 30 s a track, spread over it: N, or as many as fit without overlap if "
        "that is less; full covers all of it; 1 is the middle. A mels file holds one kind only.",
    ),
]
NFft = Annotated[
    int,
    typer.Option(
        min=512, max=16384, help="Samples a window, at 22,050 Hz.", rich_help_panel=WINDOWS
    ),
]
HopLength = Annotated[
    int,
    typer.Option(
        min=128,
        max=16384,
        help="Samples from one window to the next.",
        rich_help_panel=WINDOWS,
    ),
]
TimeLimit = Annotated[
    float,
    typer.Option(
        min=1,
        metavar="SECONDS",
        help="Give a file up that takes longer than this.",
    ),
]
Retry = Annotated[
    bool,
    typer.Option(
        "--retry",
        help="Try files again that failed and have not changed, as with a longer --time-limit; "
        "those that have changed are tried anyway.",
        rich_help_panel=AGAIN,
    ),
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune",
        help="Take tracks out of OUT whose files are no longer in AUDIO.",
        rich_help_panel=AGAIN,
    ),
]


def mels(
    audio: AudioFolder,
    out: OutFile = DEFAULT_NAMES["mels"],
    excerpts: Excerpts = "1",
    manifest: ManifestFile = None,
    workers: Workers = None,
    time_limit: TimeLimit = 120.0,
    retry: Retry = False,
    prune: Prune = False,
    n_fft: NFft = 2048,
    hop_length: HopLength = 1102,
):
    """Make log-mel spectrograms of every track in a folder: of its middle 30 s, or of more.

    Every file is tried, whatever its suffix: MP3, FLAC, OGG, Opus, M4A, WMA, WAV, AIFF and more.
    What cannot be decoded is counted here; 'audiorec info OUT --failures' lists it with the reason.

    Run again, it does only what is new or has changed: after Ctrl-C, a crash or a full disk the
    same command goes on where it was.

    Tracks shorter than 30 s are padded with silence, those shorter than 3 s refused.

    The windows are those of Dieleman (2014); --n-fft 1024 --hop-length 512 are those of van den
    Oord et al. (2013).
    """
    from audiorec_cli import files
    from audiorec_cli.audio.analysis import analyse_all
    from audiorec_cli.audio.settings import SpectrogramSettings

    paths = _audio_paths(audio, out)
    files.require_writable(out, "mels")
    settings = SpectrogramSettings(n_fft=n_fft, hop_length=hop_length)
    analyse = partial(
        analyse_all, os.path.abspath(audio), workers=workers, settings=settings, excerpts=excerpts,
        time_limit_s=time_limit,
    )  # fmt: skip
    _bring_up_to_date(
        audio, out, paths, settings, excerpts, analyse, manifest=manifest, retry=retry, prune=prune
    )


def _bring_up_to_date(audio, out, paths, settings, excerpts, analyse, *, manifest, retry, prune):
    """Write to OUT what `analyse` makes of those paths that it does not hold yet."""
    from audiorec_cli import files

    folder = os.path.abspath(audio)
    params = {**asdict(settings), "excerpts": excerpts}
    with files.MelsWriter(
        out, audio_folder=folder, params=params, n_frames=settings.n_frames
    ) as writer:
        _check_goes_on(writer.mels, out, folder, params, paths)
        names = _names(paths, writer.mels.tracks, manifest)
        writer.move_audio_folder(folder)
        run = Run(writer, folder, paths, names, retry=retry, prune=prune)
        run.analyse(analyse)
        if not len(writer):
            raise AudiorecError(f"{audio}: no file there could be decoded: put audio files in it")
        console.note(run.summary(audio, out))


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


def _check_goes_on(held, out, folder, params, paths):
    """Refuse to mix libraries or settings in one file; a library may have moved as a whole."""
    for name, value in params.items():
        if held.params.get(name) != value:
            option = name.replace("_", "-")
            raise AudiorecError(
                f"{out} was made with --{option} {held.params.get(name)}: repeat it, or name "
                "another OUT"
            )
    before = held.audio_folder
    if not len(held.tracks) or before == folder:
        return
    if os.path.isdir(before):
        is_another = not os.path.samefile(before, folder)
    else:
        is_another = not set(held.tracks.path) & set(paths)
    if is_another:
        raise AudiorecError(f"{out} holds the tracks of {before}: name another OUT for {folder}")


def _names(paths, held, manifest):
    """What to call each track: {path: {"track_id": …, and what the manifest says}}."""
    from audiorec_cli.audio import library

    new = [path for path in paths if path not in held.row_of_path]
    names = {path: {"track_id": held.track_id[row]} for path, row in held.row_of_path.items()}
    said = library.read_manifest(manifest) if manifest else {}
    ids = [said[path]["track_id"] for path in new if "track_id" in said.get(path, {})]
    n_given = Counter([*ids, *held.track_id])
    twice = next((i for i in ids if n_given[i] > 1), None)
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
