"""Streams that behave badly on purpose: late, cut, garbled, in crumbs. For tests."""

from __future__ import annotations

import trio


class FaultyStream(trio.abc.HalfCloseableStream):
    """Passes everything through; the kinds below change what is sent."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.inner = stream
        self.sent = 0
        """Bytes that were sent so far."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything."""
        await self.inner.send_all(data)
        self.sent += len(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the real stream takes bytes."""
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return the next bytes."""
        return await self.inner.receive_some(max_bytes)

    async def send_eof(self) -> None:
        """Say that we send no more."""
        await self.inner.send_eof()

    async def aclose(self) -> None:
        """Close the real stream."""
        await self.inner.aclose()


class DelayedStream(FaultyStream):
    """Everything is sent `seconds` late, one piece after the other."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, seconds: float) -> None:
        super().__init__(stream)
        self.seconds = seconds

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sleep, then send."""
        await trio.sleep(self.seconds)
        await super().send_all(data)


class CutStream(FaultyStream):
    """The connection breaks after `after` bytes, in both directions."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, after: int) -> None:
        super().__init__(stream)
        self.after = after
        self.cut = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send what is allowed, then break."""
        room = max(self.after - self.sent, 0)
        await super().send_all(memoryview(data)[:room])
        if room < len(data):
            self.cut = True
            await self.inner.aclose()
            raise trio.BrokenResourceError(f"cut after {self.after} bytes")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return the next bytes, until the connection breaks."""
        try:
            return await self.inner.receive_some(max_bytes)
        except trio.ClosedResourceError:
            if not self.cut:
                raise
        raise trio.BrokenResourceError(f"cut after {self.after} bytes")


class GarblingStream(FaultyStream):
    """Byte number `at` is sent with all its bits flipped."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, at: int) -> None:
        super().__init__(stream)
        self.at = at

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Flip, then send."""
        garbled = bytearray(data)
        if 0 <= self.at - self.sent < len(garbled):
            garbled[self.at - self.sent] ^= 0xFF
        await super().send_all(garbled)


class TricklingStream(FaultyStream):
    """Everything is sent byte by byte."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send each byte by itself."""
        for position in range(len(data)):
            await super().send_all(bytes(data[position : position + 1]))
