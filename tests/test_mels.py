"""audiorec mels: every file is accounted for, and nothing is done twice."""

import os
import time

import numpy as np
import pytest
import soundfile

from audiorec_cli import files
from audiorec_cli.audio import analysis
from audiorec_cli.audio.settings import SpectrogramSettings
from audiorec_cli.audio.spectrogram import mel_filterbank
from audiorec_cli.records import Failure


def suicidal(path, **_):
    """Stands in for analyse: dies like a decoder that crashes, or hangs like one that does not."""
    if path == "b.wav":
        os.abort()
    if path == "c.wav":
        time.sleep(600)
    return Failure(path, "fine")


@pytest.fixture
def library(here, write_tone):
    for name in ("a.wav", "deep/er/b.FLAC", "c.ogg"):
        write_tone(here / "audio" / name, 31, hz=200 + len(name))
    (here / "audio/cover.jpg").write_bytes(b"\xff\xd8\xff" + bytes(100))
    (here / "audio/fake.mp3").write_text("this is not audio\n" * 100)
    return here / "audio"


def test_rows_and_failures_are_all_files(library, audiorec):
    status, out, err = audiorec("mels", library, "out.h5")
    assert (status, out) == (0, "")
    mels = files.load_mels("out.h5")
    assert mels.tracks.path == ["a.wav", "c.ogg", "deep/er/b.FLAC"]
    assert mels.tracks.track_id == ["a", "c", "deep/er/b"]
    assert [failure.path for failure in mels.failures] == ["cover.jpg", "fake.mp3"]
    assert mels.audio_folder == str(library)
    assert "failed: fake.mp3: not audio that can be decoded" in err
    assert "out.h5: 3 tracks: 3 new; 1 file failed, 1 without audio (audiorec info" in err
    np.testing.assert_allclose(mels.start_s, 0.5, atol=0.01)
    with files.MelsReader("out.h5") as reader:
        for row in range(3):
            assert reader.read(row).max() > 3


def test_a_second_run_does_only_what_is_new_or_changed(library, audiorec, write_tone):
    audiorec("mels", library, "out.h5")
    first = files.load_mels("out.h5")
    write_tone(library / "new.wav", 31)
    write_tone(library / "a.wav", 40, hz=900)
    (library / "c.ogg").unlink()
    with files.MelsReader("out.h5") as reader:
        before = [reader.read(row) for row in range(3)]
    status, _, err = audiorec("mels", library, "out.h5")
    assert status == 0
    assert "4 tracks: 1 new, 1 changed, 1 kept; 1 file failed, 1 without audio" in err
    assert "2 of these not tried again (--retry); 1 no longer in" in err
    mels = files.load_mels("out.h5")
    assert mels.tracks.path == [*first.tracks.path, "new.wav"]
    assert mels.tracks.duration_s[0] == pytest.approx(40)
    with files.MelsReader("out.h5") as reader:
        assert not np.array_equal(reader.read(0), before[0])
        assert np.array_equal(reader.read(2), before[2])


def test_ctrl_c_keeps_what_was_done_and_the_next_run_goes_on(library, audiorec, monkeypatch):
    analyse_all = analysis.analyse_all

    def interrupted(*arguments, **options):
        yield next(iter(analyse_all(*arguments, **options)))
        raise KeyboardInterrupt

    monkeypatch.setattr(analysis, "analyse_all", interrupted)
    status, _, err = audiorec("mels", library, "out.h5")
    assert status == 130
    assert "stopped: 1 track kept, and the same command goes on" in err
    assert files.load_mels("out.h5").tracks.path == ["a.wav"]
    monkeypatch.setattr(analysis, "analyse_all", analyse_all)
    status, _, err = audiorec("mels", library, "out.h5")
    assert status == 0
    assert "3 tracks: 2 new, 1 kept" in err
    whole = files.load_mels("out.h5")
    audiorec("mels", library, "whole.h5")
    assert whole.tracks.path == files.load_mels("whole.h5").tracks.path


def test_nothing_decoded_is_one_line_and_leaves_no_file(here, audiorec):
    (here / "audio").mkdir()
    (here / "audio/a.mp3").write_text("no music")
    status, out, err = audiorec("mels", "audio", "out.h5")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1] == (
        "error: audio: no file there could be decoded: put audio files in it"
    )
    assert os.listdir(here) == ["audio"]


def test_an_empty_folder_and_a_file_are_one_line(here, audiorec, write_tone):
    (here / "audio").mkdir()
    assert audiorec("mels", "audio")[2].startswith("error: audio holds no files: put audio files")
    write_tone(here / "a.wav")
    assert audiorec("mels", "a.wav")[2].startswith("error: a.wav is a file: name the folder")


def test_two_libraries_do_not_mix(library, audiorec, write_tone):
    audiorec("mels", library, "out.h5")
    write_tone("other/x.wav", 31)
    status, _, err = audiorec("mels", "other", "out.h5")
    assert status == 1
    assert "holds the tracks of" in err
    assert audiorec("mels", "other/../audio", "out.h5")[0] == 0
    library.rename("moved")
    status, _, err = audiorec("mels", "moved", "out.h5")
    assert status == 0
    assert "3 tracks: 3 kept" in err
    assert files.load_mels("out.h5").audio_folder.endswith("moved")


def test_a_manifest_names_the_tracks(library, audiorec):
    with open("names.csv", "w") as file:
        file.write("path,track_id,title\na.wav,T1,One\n")
    assert audiorec("mels", library, "out.h5", "--manifest", "names.csv")[0] == 0
    tracks = files.load_mels("out.h5").tracks
    assert (tracks.track_id[0], tracks.title[0]) == ("T1", "One")


def test_a_file_name_that_is_no_text(library, audiorec, write_tone):
    name = os.fsdecode(b"bad\xff\nname.wav")
    os.rename(library / "a.wav", library / name)
    assert audiorec("mels", library, "out.h5")[0] == 0
    tracks = files.load_mels("out.h5").tracks
    assert name in tracks.path
    assert os.path.exists(os.path.join(library, tracks.path[tracks.path.index(name)]))


def test_a_worker_that_dies_takes_no_other_file_with_it(monkeypatch, tmp_path):
    monkeypatch.setattr(analysis, "analyse", suicidal)
    paths = ["a.wav", "b.wav", "c.wav", *(f"{i}.wav" for i in range(20))]
    results = list(
        analysis.analyse_all(
            tmp_path, paths, workers=2, settings=SpectrogramSettings(), excerpts=1, time_limit_s=2.0
        )
    )
    assert [result.path for result in results] == paths
    lost = {result.path: result.reason for result in results if result.reason != "fine"}
    assert lost == {
        "b.wav": "crashed the decoder",
        "c.wav": "took longer than the time limit",
    }


def test_a_manifest_that_gives_an_id_twice_is_refused(library, audiorec):
    with open("names.csv", "w") as file:
        file.write("path,track_id\na.wav,T1\nc.ogg,T1\n")
    status, _, err = audiorec("mels", library, "out.h5", "--manifest", "names.csv")
    assert status == 1
    assert "names.csv gives two files the track_id T1" in err
    assert not os.path.exists("out.h5")


def test_a_name_that_frees_or_takes_another_stays_unique(here, audiorec, write_tone):
    write_tone("audio/a.flac", 4)
    write_tone("audio/a.mp3.flac", 4)
    assert audiorec("mels", "audio")[0] == 0
    write_tone("audio/a.mp3", 4)
    assert audiorec("mels", "audio")[0] == 0
    assert files.load_mels("mels.h5").tracks.track_id == ["a", "a.mp3", "a.mp3 (2)"]


def test_a_file_that_turned_into_a_dead_link_is_a_failure(library, audiorec):
    audiorec("mels", library, "out.h5")
    (library / "a.wav").unlink()
    (library / "a.wav").symlink_to("nowhere")
    status, _, err = audiorec("mels", library, "out.h5")
    assert status == 0
    assert "failed: a.wav: cannot be opened: No such file" in err


def test_other_windows_give_other_frames(here, audiorec, write_tone):
    write_tone("audio/a.flac", hz=3000.0)
    assert audiorec("mels", "audio", "b.h5", "--n-fft", 1024, "--hop-length", 512)[0] == 0
    with files.MelsReader("b.h5") as reader:
        mel = reader.read(0)
    assert mel.shape == (128, 1 + (30 * 22_050 - 1024) // 512)
    settings = SpectrogramSettings(n_fft=1024, hop_length=512)
    peak = mel_filterbank(settings)[:, round(3000 * 1024 / 22_050)].toarray().argmax()
    assert (abs(mel.argmax(axis=0) - peak) <= 1).all()
    status, _, err = audiorec("mels", "audio", "b.h5")
    assert status == 1
    assert "b.h5 was made with --n-fft 1024: repeat it, or name another OUT" in err


def test_files_that_are_gone_are_kept_until_prune(library, audiorec):
    audiorec("mels", library, "out.h5")
    with files.MelsReader("out.h5") as reader:
        last = reader.read(2)
    (library / "a.wav").unlink()
    (library / "fake.mp3").unlink()
    _, _, err = audiorec("mels", library, "out.h5")
    assert "3 tracks: 2 kept" in err
    assert f"1 no longer in {library}, kept (--prune takes them out)" in err
    assert [failure.path for failure in files.load_failures("out.h5")] == ["cover.jpg"]
    _, _, err = audiorec("mels", library, "out.h5", "--prune")
    assert f"1 no longer in {library}, taken out" in err
    mels = files.load_mels("out.h5")
    assert mels.tracks.path == ["c.ogg", "deep/er/b.FLAC"]
    assert list(mels.excerpt_track) == [0, 1]
    with files.MelsReader("out.h5") as reader:
        assert np.array_equal(reader.read(1), last)
    assert "2 tracks: 2 kept" in audiorec("mels", library, "out.h5")[2]


def test_what_failed_is_tried_again_only_when_changed_or_asked_for(library, audiorec, write_tone):
    audiorec("mels", library, "out.h5")
    assert "failed: fake.mp3" not in audiorec("mels", library, "out.h5")[2]
    assert "failed: fake.mp3" in audiorec("mels", library, "out.h5", "--retry")[2]
    write_tone(library / "fake.mp3", 31)
    assert "4 tracks: 1 new, 3 kept" in audiorec("mels", library, "out.h5")[2]
    (library / "fake.mp3").write_text("not audio again")
    _, _, err = audiorec("mels", library, "out.h5")
    assert "3 tracks: 3 kept; 1 file failed" in err
    assert "fake" not in files.load_mels("out.h5").tracks.track_id


def test_info_lists_what_failed_and_why(library, audiorec):
    audiorec("mels", library, "out.h5")
    status, out, _ = audiorec("info", "out.h5", "--failures")
    assert status == 0
    assert out.splitlines() == [
        "path\treason",
        "cover.jpg\tnot audio that can be decoded",
        "fake.mp3\tnot audio that can be decoded",
    ]


@pytest.mark.parametrize(
    ("excerpts", "expected"),
    [
        ("1", {"long": [50.0], "middling": [15.0], "short": [0.0]}),
        ("2", {"long": [25.0, 75.0], "middling": [7.5, 22.5], "short": [0.0]}),
        ("9", {"long": [12.5, 37.5, 62.5, 87.5], "middling": [7.5, 22.5], "short": [0.0]}),
        ("full", {"long": [0, 25, 50, 75, 100], "middling": [0, 30], "short": [0.0]}),
    ],
)
def test_excerpts_are_spread_over_the_track(here, audiorec, write_tone, excerpts, expected):
    for name, seconds in (("long", 130), ("middling", 60), ("short", 12)):
        write_tone(f"audio/{name}.flac", seconds)
    assert audiorec("mels", "audio", "--excerpts", excerpts)[0] == 0
    mels = files.load_mels("mels.h5")
    starts = {
        track_id: mels.start_s[mels.excerpt_track == row].tolist()
        for row, track_id in enumerate(mels.tracks.track_id)
    }
    assert starts == {name: pytest.approx(values, abs=1e-3) for name, values in expected.items()}
    with files.MelsReader("mels.h5") as reader:
        of_long = [reader.read(row).tobytes() for row in np.flatnonzero(mels.excerpt_track == 0)]
    assert len(set(of_long)) == len(of_long)


def test_an_excerpt_is_the_sound_that_stands_there(here, audiorec, tone):
    """The first half is a low tone, the second a high one."""
    halves = tone(30, hz=300), tone(30, hz=3000)
    os.mkdir("audio")
    soundfile.write("audio/a.flac", np.concatenate(halves), 22_050)
    assert audiorec("mels", "audio", "--excerpts", "full")[0] == 0
    filterbank = mel_filterbank(SpectrogramSettings())
    with files.MelsReader("mels.h5") as reader:
        for row, hz in enumerate((300, 3000)):
            peak = filterbank[:, round(hz * 2048 / 22_050)].toarray().argmax()
            assert (abs(reader.read(row).argmax(axis=0) - peak) <= 1).all()


def test_a_short_track_is_padded_and_marked(here, audiorec, write_tone):
    write_tone("audio/jingle.ogg", 12)
    write_tone("audio/song.ogg", 40)
    write_tone("audio/blip.ogg", 2.5)
    _, _, err = audiorec("mels", "audio")
    assert "failed: blip.ogg: shorter than 3 seconds" in err
    assert "1 short one padded with silence" in err
    np.testing.assert_allclose(files.load_mels("mels.h5").sound_s, [12, 30], atol=0.01)
    with files.MelsReader("mels.h5") as reader:
        jingle = reader.read(0)
    n_frames = round(12 * 22_050 / 1102)
    assert jingle[:, : n_frames - 4].max(axis=0).min() > 1
    assert not jingle[:, n_frames + 2 :].any()


def test_a_track_with_another_number_of_excerpts_takes_a_new_place(here, audiorec, write_tone):
    for name in "abc":
        write_tone(f"audio/{name}.flac", 60)
    audiorec("mels", "audio", "--excerpts", "full")
    write_tone("audio/b.flac", 100)
    status, _, err = audiorec("mels", "audio", "--excerpts", "full")
    assert status == 0
    assert "3 tracks: 1 changed, 2 kept" in err
    mels = files.load_mels("mels.h5")
    assert mels.tracks.track_id == ["a", "c", "b"]
    assert list(mels.excerpt_track) == [0, 0, 1, 1, 2, 2, 2, 2]


def test_excerpts_are_a_number_or_full_and_the_same_again(here, audiorec, write_tone):
    write_tone("audio/a.flac", 60)
    for wrong in ("0", "-1", "some", "1001", "2.5"):
        status, _, err = audiorec("mels", "audio", "--excerpts", wrong)
        assert status == 2
        assert "neither 'full' nor a number from 1 to 1000" in " ".join(
            err.replace("│", "").split()
        )
    audiorec("mels", "audio", "--excerpts", "full")
    status, _, err = audiorec("mels", "audio")
    assert status == 1
    assert "mels.h5 was made with --excerpts full: repeat it" in err


def test_predictions_and_the_network_take_several_excerpts(
    here, audiorec, write_tone, checkpoint_file, loading_in_process
):
    write_tone("audio/a.flac", 90)
    write_tone("audio/b.flac", 20)
    audiorec("mels", "audio", "--excerpts", "full")
    checkpoint_file("model.h5")
    status, _, err = audiorec("predict")
    assert status == 0
    assert "factors of 2 tracks" in err


def test_what_is_new_stays_when_a_changed_track_goes(library, audiorec, write_tone):
    """A file that is no audio any more goes, in the same run in which others come and change."""
    audiorec("mels", library, "out.h5")
    (library / "a.wav").write_text("no audio any more")
    write_tone(library / "c.ogg", 45, hz=700)
    for name in ("d.flac", "z.wav"):
        write_tone(library / name, 31, hz=500)
    (library / "y.mp3").write_text("no audio")
    _, _, err = audiorec("mels", library, "out.h5")
    assert "4 tracks: 2 new, 1 changed, 1 kept; 3 files failed" in err
    assert "1 taken out, whose files are no tracks any more" in err
    mels = files.load_mels("out.h5")
    assert mels.tracks.path == ["c.ogg", "deep/er/b.FLAC", "d.flac", "z.wav"]
    assert mels.tracks.duration_s[0] == pytest.approx(45, abs=0.1)
    failed = ["cover.jpg", "fake.mp3", "a.wav", "y.mp3"]
    assert [failure.path for failure in mels.failures] == failed
    assert "4 tracks: 4 kept" in audiorec("mels", library, "out.h5")[2]


def test_a_track_that_failed_before_a_stop_goes_in_the_next_run(library, audiorec, monkeypatch):
    audiorec("mels", library, "out.h5")
    (library / "a.wav").write_text("no audio any more")

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files.MelsWriter, "remove", interrupted)
        assert audiorec("mels", library, "out.h5")[0] == 130
    assert len(files.load_mels("out.h5").tracks) == 3
    assert audiorec("mels", library, "out.h5")[0] == 0
    assert files.load_mels("out.h5").tracks.path == ["c.ogg", "deep/er/b.FLAC"]


def test_a_named_track_keeps_its_name_with_more_excerpts(here, audiorec, write_tone):
    for name in "abc":
        write_tone(f"audio/{name}.flac", 60)
    (here / "names.csv").write_text("path,track_id\nb.flac,NAMED\n")
    audiorec("mels", "audio", "--excerpts", "full", "--manifest", "names.csv")
    write_tone("audio/b.flac", 100)
    write_tone("audio/d.flac", 31)
    _, _, err = audiorec("mels", "audio", "--excerpts", "full")
    assert "4 tracks: 1 new, 1 changed, 2 kept" in err
    assert files.load_mels("mels.h5").tracks.track_id == ["a", "c", "d", "NAMED"]


def test_prune_after_a_move_and_without_the_library(library, audiorec, write_tone):
    audiorec("mels", library, "out.h5")
    library.rename("moved")
    (library.parent / "moved/a.wav").unlink()
    assert audiorec("mels", "moved", "out.h5", "--prune")[0] == 0
    assert files.load_mels("out.h5").audio_folder.endswith("moved")
    (library.parent / "moved").rename("gone")
    write_tone("other/x.wav", 31)
    for options in ((), ("--prune",)):
        status, _, err = audiorec("mels", "other", "out.h5", *options)
        assert status == 1
        assert "holds the tracks of" in err
    assert len(files.load_mels("out.h5").tracks) == 2
