"""Numbers in the place of texts: a few bytes a row, whatever the texts."""

import numpy as np
import polars as pl

NO_TEXT = 0
START_SIZE = 1 << 12  # a power of two, as every size that follows
ROOM = 4  # places for each text, so that few want the same one


class Numbering:
    """Numbers for texts, in the order in which they come: a hash table of arrays.

    Space around a text does not count, and a blank one has the number NO_TEXT. Texts are told apart
    by hashes of 64 bits: that two of ten million have the same has a probability of 3 in a million.
    """

    def __init__(self):
        self._texts = [pl.Series([""])]
        self._n = 1
        self._n_hashes = 0
        self._make_table(START_SIZE)

    def numbers(self, texts, hashes):
        """The number of each text, (n,) int32; texts not seen before get the next ones.

        texts : a column of text; hashes : (n,) uint64, what polars makes of them
        """
        hashes = np.maximum(hashes, np.uint64(1))  # 0 marks an empty place
        starts = np.flatnonzero(np.diff(hashes, prepend=np.uint64(0)))
        if len(starts) > len(hashes) / 2:
            return self._numbers_of(texts, hashes)
        # many logs come listener by listener: one row of each is enough
        numbers = self._numbers_of(texts.gather(starts), hashes[starts])
        return np.repeat(numbers, np.diff(starts, append=len(hashes)))

    def texts(self):
        """The texts in the order of their numbers, a column."""
        return pl.concat(self._texts, rechunk=True)

    def _numbers_of(self, texts, hashes):
        """As `numbers`, however often the texts change."""
        numbers = self._numbers[self._find(hashes)]
        unknown = np.flatnonzero(numbers < 0)
        if len(unknown):
            _, first = np.unique(hashes[unknown], return_index=True)
            first = unknown[np.sort(first)]
            self._add(hashes[first], texts.gather(first))
            numbers[unknown] = self._numbers[self._find(hashes[unknown])]
        return numbers

    def _make_table(self, size):
        """An empty table: hashes, 0 for none, and the number of the text of each."""
        self._hashes = np.zeros(size, np.uint64)
        self._numbers = np.full(size, -1, np.int32)

    def _find(self, hashes):
        """Where in the table each hash stands, or the empty place for it: (n,) places."""
        mask = len(self._hashes) - 1
        places = (hashes & np.uint64(mask)).view(np.int64)
        there = self._hashes[places]
        astray = np.flatnonzero((there != hashes) & (there != 0))
        while len(astray):  # another has that place: the next one, then
            places[astray] = (places[astray] + 1) & mask
            there = self._hashes[places[astray]]
            astray = astray[(there != hashes[astray]) & (there != 0)]
        return places

    def _add(self, hashes, texts):
        """Number texts that are new, each once."""
        texts = texts.str.strip_chars().fill_null("")
        has_text = (texts != "").to_numpy()
        self._texts.append(texts.filter(has_text))
        numbers = np.full(len(texts), NO_TEXT, np.int32)
        numbers[has_text] = self._n + np.arange(has_text.sum())
        self._n += int(has_text.sum())
        self._n_hashes += len(hashes)
        if self._n_hashes * ROOM > len(self._hashes):
            is_taken = self._hashes != 0
            hashes = np.concatenate([self._hashes[is_taken], hashes])
            numbers = np.concatenate([self._numbers[is_taken], numbers])
            self._make_table(1 << (self._n_hashes * ROOM * 2 - 1).bit_length())
        while len(hashes):
            places = self._find(hashes)
            self._hashes[places], self._numbers[places] = hashes, numbers
            is_left = self._hashes[places] != hashes  # another of them took the place
            hashes, numbers = hashes[is_left], numbers[is_left]
