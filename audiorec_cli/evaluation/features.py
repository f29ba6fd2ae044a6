"""What the baselines hear: statistics of mel bins, and a bag of words of MFCCs ([B], section 4)."""

import numpy as np
from scipy import fft, signal
from sklearn.cluster import MiniBatchKMeans
from sklearn.preprocessing import StandardScaler

N_MFCC = 13
WORDS = 4000
FRAMES_FOR_WORDS = 200_000
FRAMES_A_WORD = 20  # of a dictionary of a small library
DELTA_WIDTH = 9  # frames
QUIETEST = 1e-10  # mel magnitude, of silence


def mel_statistics(reader, excerpts):
    """Mean and standard deviation over time of each mel bin.

    reader : its read(row) gives an excerpt (n_mels, n_frames); excerpts : (n,) rows
    Returns (n, 2 * n_mels) float32.
    """
    mels = (reader.read(int(row)).astype(np.float32) for row in excerpts)
    return np.array([np.concatenate([mel.mean(axis=1), mel.std(axis=1)]) for mel in mels])


def mfccs(mel, *, compression):
    """13 mel-frequency cepstral coefficients with their first and second differences ([B]).

    mel : (n_mels, n_frames) log(1 + c · mel magnitude) with c = compression
    Returns (n_frames, 39) float32.
    """
    magnitude = np.expm1(mel.astype(np.float64)) / compression
    decibels = 20 * np.log10(np.maximum(magnitude, QUIETEST))
    cepstrum = fft.dct(decibels, type=2, axis=0, norm="ortho")[:N_MFCC]
    differences = [
        signal.savgol_filter(cepstrum, DELTA_WIDTH, polyorder=order, deriv=order, axis=1)
        for order in (1, 2)
    ]
    return np.concatenate([cepstrum, *differences]).T.astype(np.float32)


class Sound:
    """What the baselines hear of the tracks of a mels file, averaged over a track's excerpts.

    reader : as above; excerpt_track : (n_excerpts,) row of each excerpt's track, ascending
    compression : c of the spectrograms log(1 + c · mel)
    """

    def __init__(self, reader, excerpt_track, *, compression):
        self._reader, self._excerpt_track = reader, excerpt_track
        self._compression = compression

    def statistics(self, tracks):
        """Mel statistics of tracks, by their rows (k,): (k, 2 * n_mels)."""
        return self._averaged(tracks, lambda rows: mel_statistics(self._reader, rows))

    def bags(self, known, tracks, *, seed):
        """Bags of words of tracks (k,), in the words of the `known` tracks: (k, n_words)."""
        excerpts = np.flatnonzero(np.isin(self._excerpt_track, known))
        words = BagOfWords(self._reader, excerpts, compression=self._compression, seed=seed)
        return self._averaged(tracks, lambda rows: words.counts(self._reader, rows))

    def _averaged(self, tracks, features_of):
        bounds = np.searchsorted(self._excerpt_track, [tracks, np.add(tracks, 1)]).T
        excerpts = np.concatenate([np.arange(*bound) for bound in bounds])
        starts = np.cumsum([0, *np.diff(bounds, axis=1).ravel()[:-1]])
        totals = np.add.reduceat(features_of(excerpts), starts)
        return totals / np.diff(bounds, axis=1)


class BagOfWords:
    """How often each word of a dictionary of MFCC frames occurs in an excerpt ([B], section 4).

    reader, compression : as above; excerpts : (n,) rows, of training tracks, to learn 4000 words
        from by k-means, or fewer where there are few frames
    """

    def __init__(self, reader, excerpts, *, compression, seed):
        self._compression = compression
        frames = self._some_frames(reader, excerpts, seed)
        self._scaler = StandardScaler().fit(frames)
        n_words = min(WORDS, max(1, len(frames) // FRAMES_A_WORD))
        self._words = MiniBatchKMeans(
            n_words, batch_size=16 * 1024, init="random", n_init=1, max_iter=20, random_state=seed
        ).fit(self._scaler.transform(frames))

    def _some_frames(self, reader, excerpts, seed):
        rng = np.random.default_rng(seed)
        a_piece = max(1, FRAMES_FOR_WORDS // len(excerpts))
        pieces = [
            rng.permutation(mfccs(reader.read(int(row)), compression=self._compression))[:a_piece]
            for row in excerpts
        ]
        return np.concatenate(pieces)

    def counts(self, reader, excerpts):
        """How often each word occurs in each excerpt: (n, n_words) float32, a row sums to 1."""
        n_words = self._words.n_clusters
        bags = np.empty((len(excerpts), n_words), dtype=np.float32)
        for bag, row in zip(bags, excerpts, strict=True):
            frames = mfccs(reader.read(int(row)), compression=self._compression)
            words = self._words.predict(self._scaler.transform(frames))
            bag[:] = np.bincount(words, minlength=n_words) / len(words)
        return bags
