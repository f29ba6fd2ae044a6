"""Loading spectrograms in a process of its own, the next batch while this one trains [A]."""

import sys
import tempfile
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from audiorec_cli.errors import AudiorecError
from audiorec_cli.workers import (
    LOADER_MODULES,
    end_with_parent,
    process_context,
    starting_processes,
)

EXCERPTS_FOR_STATISTICS = 10_000
SMALLEST_DEVIATION = 1e-4


class Excerpts(Dataset):
    """Excerpts of a mels file, each with its target, cropped at random where asked.

    open_reader : makes a context manager whose read(row) gives (n_mels, n_frames) float16. It is
        called in the loader's process, for an open HDF5 file survives no fork, and is pickled.
    rows : (n,) rows of the excerpts; targets : (n, …) array, a target each, None for no targets
    crop_frames : length of the random crop, None for the whole excerpt
    stretch : how much longer or shorter the sound may be made before the crop: a factor between
        1 / (1 + stretch) and 1 + stretch
    cache_bytes : of excerpts to keep as they were read, for epochs to come; what is beyond that is
        read again each time
    """

    def __init__(
        self,
        open_reader,
        rows,
        *,
        targets=None,
        crop_frames=None,
        stretch=0.0,
        seed=0,
        cache_bytes=0,
    ):
        self.open_reader = open_reader
        self.rows = np.asarray(rows)
        self.targets = targets
        self.crop_frames = crop_frames
        self.stretch = stretch
        self.seed = seed
        self._reader = None
        self._cache, self._room = {}, cache_bytes

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        """Excerpt `key` = (epoch, index), and its target or its index where there are none.

        A third number, from 1, tells apart excerpts that come again in an epoch. Crop and stretch
        depend on the seed and these alone, so that training can go on from any epoch exactly as if
        it had never stopped.
        """
        index = key[1]
        mel = self._read(int(self.rows[index]))
        if self.crop_frames is not None:
            rng = np.random.default_rng((self.seed, *key))
            mel = _random_crop(mel, self.crop_frames, self.stretch, rng)
        target = index if self.targets is None else self.targets[index]
        return torch.from_numpy(np.ascontiguousarray(mel)), torch.as_tensor(target)

    def _read(self, row):
        if row in self._cache:
            return self._cache[row]
        if self._reader is None:
            self._reader = self.open_reader()
        mel = self._reader.read(row)
        if mel.nbytes <= self._room:
            self._cache[row] = mel
            self._room -= mel.nbytes
        return mel


def _random_crop(mel, n_frames, stretch, rng):
    if not stretch:
        start = rng.integers(mel.shape[1] - n_frames + 1)
        return mel[:, start : start + n_frames]
    # as often half as long as twice
    factor = np.exp(rng.uniform(-1, 1) * np.log1p(stretch))
    last_start = mel.shape[1] - 1 - (n_frames - 1) / factor
    return stretched(mel, factor, start=rng.uniform(0, last_start), n_frames=n_frames)


def stretched(mel, factor, *, start, n_frames):
    """A spectrogram as it is when the sound lasts `factor` times as long, its pitch unchanged.

    mel : (n_mels, n); start : the first of its frames to take, in fractions
    Returns (n_mels, n_frames) of the same type, interpolated linearly between frames.
    """
    positions = start + np.arange(n_frames) / factor
    before = np.minimum(positions.astype(int), mel.shape[1] - 2)
    weight = (positions - before).astype(np.float32)
    return (mel[:, before] * (1 - weight) + mel[:, before + 1] * weight).astype(mel.dtype)


class EpochSampler:
    """The order in which an epoch visits the excerpts: shuffled by seed and epoch, or as they lie.

    Set `epoch` before each pass.
    """

    def __init__(self, n, *, shuffle, seed=0):
        self.n, self.shuffle, self.seed, self.epoch = n, shuffle, seed, 0

    def __len__(self):
        return self.n

    def __iter__(self):
        order = np.arange(self.n)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        return iter([(self.epoch, int(index)) for index in order])


class Loader:
    """Batches of excerpts, loaded ahead in one background process that lasts for all epochs.

    sampler : gives the keys of Excerpts for its `epoch`, as EpochSampler does; None for all of them
        as they lie, or with `shuffle` in a new order for each epoch
    """

    def __init__(self, excerpts, *, batch_size, shuffle=False, sampler=None, pin_memory=False):
        self.excerpts = excerpts
        if sampler is None:
            sampler = EpochSampler(len(excerpts), shuffle=shuffle, seed=excerpts.seed)
        self._sampler = sampler
        self._context = process_context(LOADER_MODULES)
        if sys.platform == "linux" and self._context.get_start_method() == "spawn":
            raise AudiorecError(  # as torch does not, which waits for ever
                f"{tempfile.gettempdir()}: no socket can be made there, which the loading process "
                "needs: set TMPDIR to another folder, such as /tmp"
            )
        self._batches = DataLoader(
            excerpts,
            batch_size=batch_size,
            sampler=self._sampler,
            pin_memory=pin_memory,
            num_workers=1,
            multiprocessing_context=self._context,
            worker_init_fn=end_with_parent,
            persistent_workers=True,
            prefetch_factor=4,
            # of its own, so that starting a loader leaves the random numbers of dropout alone
            generator=torch.Generator(),
        )

    def __len__(self):
        """Batches in an epoch."""
        return len(self._batches)

    def epoch(self, epoch):
        """Yield (mels (batch, n_mels, n_frames) float16, targets or indices) through one epoch."""
        self._sampler.epoch = epoch
        with starting_processes(self._context):
            batches = iter(self._batches)
        yield from batches

    def close(self):
        """Stop the background process."""
        iterator = self._batches._iterator
        if iterator is not None:
            iterator._shutdown_workers()


@contextmanager
def closing_loaders(*loaders):
    """Stop the loaders' processes at the end, whatever happens."""
    try:
        yield
    finally:
        for loader in loaders:
            loader.close()


def mel_statistics(open_reader, rows):
    """Mean and standard deviation of each mel bin over all frames of the excerpts `rows`.

    Of very many excerpts, evenly spread ones stand for all. Returns two (n_mels,) float32 arrays; a
    bin that never changes has the deviation 1.
    """
    spread = rows[:: -(-len(rows) // EXCERPTS_FOR_STATISTICS)]
    n_frames, total, squares = 0, 0.0, 0.0
    with open_reader() as reader:
        for row in spread:
            mel = reader.read(int(row)).astype(np.float64)
            n_frames += mel.shape[1]
            total = total + mel.sum(axis=1)
            squares = squares + (mel**2).sum(axis=1)
    mean = total / n_frames
    if not np.isfinite(mean).all():
        raise AudiorecError(
            "the spectrograms hold values that are no numbers: make them again with 'audiorec mels'"
        )
    deviation = np.sqrt(np.maximum(squares / n_frames - mean**2, 0))
    deviation[deviation < SMALLEST_DEVIATION] = 1
    return mean.astype(np.float32), deviation.astype(np.float32)
