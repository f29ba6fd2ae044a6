"""Hubs and duplicates among real predictions: python tests/bench/lists.py PREDICTIONS MELS

Prints how skewed it is how often a track is among the ten nearest of others, by cosine and with
`similar --spread`, for the tracks of a predictions file and for factors drawn around a common
centre; and how alike the spectrograms are of the pairs of tracks whose factors are nearest, of
which `similar --duplicates drop` takes those above a threshold for one recording.
"""

import sys

import numpy as np
from scipy.stats import skew

from audiorec_cli import files
from audiorec_cli.retrieval.hubness import LocalScaling
from audiorec_cli.retrieval.recordings import ALIKE, MAX_SHIFT_S, likeness

N_NEAREST = 10
N_PAIRS = 1500
SHOWN = 5


def print_hubs(name, factors):
    """Print how often the tracks of (n, n_factors) factors are neighbours of others."""
    scaling = LocalScaling(factors)
    rankings = {"cosine": lambda cosines: np.argsort(-cosines), "--spread": scaling.rank}
    for how, rank in rankings.items():
        counts = np.zeros(len(factors), int)
        for row, query in enumerate(factors):
            nearest = [other for other in rank(factors @ query) if other != row][:N_NEAREST]
            counts[nearest] += 1
        print(f"{name}, {how}: skewness {skew(counts):.2f}, in {counts.max()} lists at most")


def print_likeness(predicted, path):
    """Print which of the nearest pairs are most alike by their spectrograms."""
    library, factors = files.load_mels(path), predicted.predicted_factors
    max_shift = round(MAX_SHIFT_S * library.params["sample_rate"] / library.params["hop_length"])
    pairs = np.triu_indices(len(factors), 1)
    order = np.argsort(-(factors @ factors.T)[pairs])[:N_PAIRS]
    first = np.searchsorted(library.excerpt_track, np.arange(len(library.tracks)))
    found = []
    with files.MelsReader(path) as reader:
        for one, other in zip(*(rows[order] for rows in pairs), strict=True):
            ids = (predicted.tracks.track_id[row] for row in (one, other))
            rows = (first[library.tracks.row_of_track_id[track_id]] for track_id in ids)
            mels = (reader.read(int(row)) for row in rows)
            found.append((likeness(*mels, max_shift=max_shift), one, other))
    found.sort(reverse=True)
    print(f"most alike of the {len(found)} nearest pairs; from {ALIKE} on they are one recording:")
    for alike, one, other in found[:SHOWN]:
        print(f"  {alike:.2f}  {predicted.tracks.name(one)} | {predicted.tracks.name(other)}")


def main():
    """Measure both."""
    predicted = files.load_predictions(sys.argv[1])
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(600, 40)) + 0.5 * rng.normal(size=40)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    print_hubs("drawn around a centre", drawn.astype(np.float32))
    print_hubs(sys.argv[1], predicted.predicted_factors)
    print_likeness(predicted, sys.argv[2])


if __name__ == "__main__":
    main()
