"""The same text has the same number, in whatever batches texts come."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from audiorec_cli.listening.numbering import NO_TEXT, Numbering

TEXTS = st.lists(st.lists(st.sampled_from(["", " ", None, *"abcdefgh", " a"]), max_size=30))


def number(numbering, texts, hashes=None):
    column = pl.Series(texts, dtype=pl.String)
    return numbering.numbers(column, column.hash().to_numpy() if hashes is None else hashes)


@given(TEXTS)
def test_numbers_lead_back_to_the_texts(batches):
    numbering = Numbering()
    numbers = [number(numbering, batch) for batch in batches]
    texts = numbering.texts()
    for batch, found in zip(batches, numbers, strict=True):
        assert texts.gather(found).to_list() == [(text or "").strip() for text in batch]
        assert [n == NO_TEXT for n in found] == [not (text or "").strip() for text in batch]


def test_numbers_count_up_as_texts_come():
    numbering = Numbering()
    assert number(numbering, ["b", "a", "b", "c"]).tolist() == [1, 2, 1, 3]
    assert number(numbering, ["d", "a", "d"]).tolist() == [4, 2, 4]
    assert numbering.texts().to_list() == ["", "b", "a", "c", "d"]


def test_texts_that_want_the_same_place_have_numbers_of_their_own(monkeypatch):
    """Hashes that differ in their highest bits alone, beginning with 0, in a table that grows."""
    monkeypatch.setattr("audiorec_cli.listening.numbering.START_SIZE", 1 << 10)
    ids = [str(i) for i in range(500)]
    hashes = np.arange(len(ids), dtype=np.uint64) << np.uint64(50)
    numbering = Numbering()
    assert number(numbering, ids, hashes).tolist() == list(range(1, len(ids) + 1))
    shuffled = np.random.default_rng(0).permutation(len(ids))
    found = number(numbering, [ids[i] for i in shuffled], hashes[shuffled])
    assert found.tolist() == (shuffled + 1).tolist()


def test_however_many_blanks_are_no_text():
    numbering, blanks = Numbering(), [" " * n for n in range(10_000)]
    assert not number(numbering, blanks).any()
    assert number(numbering, ["a", *blanks]).tolist() == [1] + [NO_TEXT] * len(blanks)
    assert numbering.texts().to_list() == ["", "a"]


def test_many_texts_are_kept_apart():
    numbering, rng = Numbering(), np.random.default_rng(0)
    ids = pl.Series(range(100_000)).cast(pl.String)
    for _ in range(5):
        rows = rng.integers(len(ids), size=50_000)
        batch = ids.gather(rows)
        found = numbering.numbers(batch, batch.hash().to_numpy())
        assert numbering.texts().gather(found).equals(batch)
    assert numbering.texts().n_unique() == len(numbering.texts())
