"""The asynchronous face, against a client that computes in the clear."""

import numpy as np
import pytest
import trio

from parties.stream import from_thread
from pehealth.api.centre import centre_of
from pehealth.api.sync import centre_in_thread
from pehealth.data import clinic
from pehealth.errors import ConfigError, PeerAborted, RangeError
from pehealth.nets.oracle import ideal

DATA = clinic.load_clinic()
HIGH = np.array(DATA.ranges.high)
X = DATA.ranges.raw(DATA.features[DATA.test[:9]])


async def test_one_sample(client, opened) -> None:
    async with centre_of(opened(client)) as centre:
        assert (centre.card.model, centre.card.version) == ("clinic", 3)
        assert await centre.models() == [client.card]
        result = await centre.infer(X[0])
    expected = ideal(client.model, client.card.encode(client.card.normalise(X[:1]))).logits[0]
    assert (len(result), result.query, result.model, result.version, result.digits) == (1, 101, "clinic", 3, 4)
    assert result.logits.tolist() == [[v / client.card.scale for v in expected.tolist()]]
    assert result.class_index == int(expected.argmax())
    assert result.label == client.card.labels[result.class_index]
    assert result.error_bound == client.card.error_bound / client.card.scale
    assert result.sure is True
    assert "logits" not in repr(result)


async def test_a_batch_of_lists_over_several_queries(new_client, opened) -> None:
    client = new_client(batch=4)
    async with centre_of(opened(client)) as centre:
        result = await centre.infer(X.tolist())
        alone = [await centre.infer(x) for x in X]
    assert result.queries == (101,) * 4 + (102,) * 4 + (103,)
    assert len(result) == 9
    assert [one.label for one in result] == [one.label for one in alone]
    assert np.array_equal(result.logits, np.concatenate([one.logits for one in alone]))
    with pytest.raises(ValueError, match="this result is of 9 samples"):
        _ = result.label


async def test_what_is_no_sample_is_refused_before_anything_is_sent(client, opened) -> None:
    bad = X[0].copy()
    bad[3] = np.nan
    outside = X[0].copy()
    outside[3] = HIGH[3] + 1
    async with centre_of(opened(client)) as centre:
        for x, error, words in (
            (X[0][:-1], ConfigError, r"samples of the shape \(29,\): expected one of \(30,\)"),
            (np.zeros((0, 30)), ConfigError, "empty batch"),
            ([[1.0], [1.0, 2.0]], ConfigError, "samples are numbers"),
            (["a"] * 30, ConfigError, "samples are numbers"),
            (3.0, ConfigError, r"samples of the shape \(\)"),
            (bad, RangeError, "sample 0: reading 3 is not a finite number"),
            (outside, RangeError, "is outside of its range"),
        ):
            with pytest.raises(error, match=words):
                await centre.infer(x)
    assert client.calls == []


async def test_what_the_block_raises_comes_out_as_it_is(client, opened, lost) -> None:
    with pytest.raises(ZeroDivisionError):
        async with centre_of(opened(client)):
            raise ZeroDivisionError
    client.failures = [lost]
    with pytest.raises(PeerAborted):
        async with centre_of(opened(client)) as centre:
            await centre.infer(X[0])


async def test_receipts_and_classes_alone(new_client, opened) -> None:
    client = new_client(reveal="class")
    async with centre_of(opened(client)) as centre:
        result = await centre.infer(X[0])
        assert (result.logits, result.sure) == (None, None)
        assert result.label in client.card.labels
        client.receipts = True
        result = await centre.infer(X[0])
    assert (result.classes, result.labels, result.label, result.class_index) == (None, None, None, None)
    assert result.query == 102


async def test_a_stream_in_order(client, opened, autojump_clock) -> None:
    client.delays = [3, 1, 2, 1]

    async def samples():
        for x in X[:4]:
            await trio.sleep(0.1)
            yield x

    async with centre_of(opened(client)) as centre:
        labels = [result.label async for result in centre.stream(samples())]
        assert labels == [(await centre.infer(x)).label for x in X[:4]]


async def test_a_stream_as_it_comes_and_batches_of_what_waits(new_client, opened, autojump_clock) -> None:
    client = new_client(batch=4)
    client.delays = [1, 1, 1]

    async def samples():
        for x in X:
            yield x

    async with centre_of(opened(client)) as centre:
        results = [r async for r in centre.stream(samples(), in_flight=1, ordered=False)]
    assert len(results) == 9
    assert (len(client.calls), sum(client.calls)) == (3, 9)


async def test_a_time_series_is_cut_into_windows(client, opened) -> None:
    async def series():
        for row in X[:3].reshape(3, 2, 15).transpose(0, 2, 1).reshape(-1, 2):
            yield row

    async with centre_of(opened(client)) as centre:
        results = [result async for result in centre.stream(series(), window=15)]
        whole = await centre.infer(X[:3])
        assert np.array_equal(np.concatenate([r.logits for r in results]), whole.logits)
        with pytest.raises(ConfigError, match="no multiple"):
            centre.stream(series(), window=7)
        with pytest.raises(ConfigError, match="--stride has no meaning"):
            centre.stream(series(), stride=7)
        with pytest.raises(ConfigError, match="expected one of"):
            await anext(centre.stream(from_thread([[1, 2, 3]]), window=15))
        with pytest.raises(ConfigError, match="a stream is of single samples, and a batch of 2 came"):
            await anext(centre.stream(from_thread([[[1, 2], [3, 4]]]), window=15))
        with pytest.raises(ConfigError, match="samples are numbers"):
            await anext(centre.stream(from_thread([["a", 2]]), window=15))


def test_a_series_of_numbers_without_an_event_loop(client, opened) -> None:
    with centre_in_thread(centre_of(opened(client))) as centre:
        labels = [result.label for result in centre.stream(X[8:].reshape(-1).tolist() * 2, window=30)]
        assert labels == [centre.infer(X[8]).label] * 2


async def test_a_failure_is_raised_in_its_place_and_the_stream_goes_on(client, opened, lost, autojump_clock) -> None:
    client.failures = [None, lost]

    async def samples():
        for x in X[:3]:
            yield x

    async with centre_of(opened(client)) as centre:
        stream = centre.stream(samples(), in_flight=1)
        await anext(stream)
        with pytest.raises(PeerAborted, match="E2 stopped: its disk is full"):
            await anext(stream)
        await anext(stream)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        with pytest.raises(ConfigError, match="at least 1"):
            centre.stream(samples(), in_flight=0)


async def test_a_stream_that_is_left_ends_with_the_connection(client, opened, autojump_clock) -> None:
    async def samples():
        for x in X:
            yield x

    async with centre_of(opened(client)) as centre:
        stream = centre.stream(samples(), in_flight=1)
        await anext(stream)
        other = centre.stream(samples())
        await other.aclose()
        with pytest.raises(StopAsyncIteration):
            while True:
                await anext(other)


async def test_a_batch_within_a_stream_is_refused(client, opened) -> None:
    async with centre_of(opened(client)) as centre:
        with pytest.raises(ConfigError, match="a stream is of single samples, and a batch of 9 came"):
            await anext(centre.stream(from_thread([X])))
