"""The predicted space in two dimensions, by t-SNE."""

import importlib.util

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

N_COMPONENTS = 50  # t-SNE sees no more than this: distances along the rest are mostly noise
LARGE = 20_000  # tracks from which scikit-learn takes too long
USUAL_PERPLEXITY = 30
LEAST_PERPLEXITY = 2  # with fewer neighbours there is nothing for t-SNE to arrange
START_DEVIATION = 1e-4  # of the first axis at the start, as in van der Maaten's own program
JITTER = 1e-6  # moves tracks with the same factors apart, and makes seeds differ


def project(factors, *, perplexity=None, seed=0):
    """Places of tracks on a map where neighbours in `factors` stay neighbours.

    factors : (n, n_factors) float32 of unit norm, so that distances rank as cosines do
    perplexity : neighbours that count for each track, cut to less than (n - 1) / 3; None for the
        usual 30, or √n where that is less: few tracks would draw together into points
    t-SNE (van der Maaten & Hinton, JMLR 2008), begun at the principal components, which alone
    make the map of a handful of tracks. More than LARGE tracks go to openTSNE where it is there.
    Returns (n, 2) float32: the middle of the map at 0, the largest absolute coordinate 1. The
    same seed gives the same map.
    """
    n = len(factors)
    # sums over threads come in any order, and t-SNE makes another map of another last digit
    with threadpool_limits(1):
        components = _principal_components(factors)
        # strictly less, as a track has n - 1 others and t-SNE looks at three times as many
        perplexity = min(perplexity or _usual_perplexity(n), (n - 1) / 3.01)
        if perplexity < LEAST_PERPLEXITY:
            return _to_unit_square(components[:, :2])
        start = _start(components, seed)
        arrange = _with_opentsne if n > LARGE and has_opentsne() else _with_sklearn
        return _to_unit_square(arrange(components, start, perplexity, seed))


def has_opentsne():
    """Whether openTSNE is installed, which is much quicker with many tracks."""
    return importlib.util.find_spec("openTSNE") is not None


def _usual_perplexity(n):
    return min(USUAL_PERPLEXITY, n**0.5)


def _principal_components(factors):
    """(n, at least 2) float32, the axis of the largest variance first."""
    n_components = min(N_COMPONENTS, *factors.shape)
    with np.errstate(invalid="ignore"):  # tracks that are all the same have no variance to share
        components = PCA(n_components, svd_solver="full").fit_transform(factors)
    missing = max(0, 2 - n_components)
    return np.pad(components, ((0, 0), (0, missing))).astype(np.float32)


def _start(components, seed):
    """(n, 2) float32 for t-SNE to begin with: alike for all seeds, but the same for none."""
    start = components[:, :2]
    deviation = start[:, 0].std()
    jitter = np.random.default_rng(seed).normal(size=start.shape) * JITTER
    return (start * (START_DEVIATION / deviation if deviation > 0 else 0) + jitter).astype(
        np.float32
    )


def _with_sklearn(components, start, perplexity, seed):
    tsne = TSNE(perplexity=perplexity, init=start, learning_rate="auto", random_state=seed)
    return tsne.fit_transform(components)


def _with_opentsne(components, start, perplexity, seed):
    import openTSNE

    tsne = openTSNE.TSNE(
        perplexity=perplexity, initialization=start.astype(np.float64), random_state=seed
    )
    return np.asarray(tsne.fit(components))


def _to_unit_square(xy):
    """Middle at 0 and the largest absolute coordinate 1, both axes on one scale; float32."""
    xy = xy - (xy.max(axis=0) + xy.min(axis=0)) / 2
    largest = np.abs(xy).max()
    return (xy / (largest if largest > 0 else 1)).astype(np.float32)
