"""Compressed answers, unpacked a piece at a time, so that whoever reads can stop before a bomb has gone off.

Only gzip is asked for, and only gzip is taken. Unpacking whole chunks, as httpx does, makes sixteen megabytes of each
sixteen kilobytes; and each encoding that an answer claims on top of the first multiplies that.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx

PIECE = 64 * 1024  # bytes


def unpacked(response: httpx.Response) -> httpx.Response:
    """The answer as it would be without compression."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        return response
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - it comes from an asynchronous transport
    headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _OF_THE_PACKED]
    return httpx.Response(
        response.status_code,
        headers=headers,
        stream=_Unpacking(stream, encoding),
        extensions=response.extensions,
    )


class _Unpacking(httpx.AsyncByteStream):
    def __init__(self, packed: httpx.AsyncByteStream, encoding: str) -> None:
        self._packed = packed
        self._encoding = encoding

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._encoding not in ("gzip", "x-gzip"):
            raise httpx.DecodingError("the answer is encoded in a way that was not asked for")
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        packed = b""
        try:
            async for packed in self._packed:
                rest = packed
                while piece := unpacker.decompress(rest, PIECE):
                    yield piece
                    rest = unpacker.unconsumed_tail
                if unpacker.eof:
                    return
        except zlib.error as error:
            raise httpx.DecodingError("the answer cannot be unpacked") from error
        if packed:
            raise httpx.DecodingError("the answer breaks off")

    async def aclose(self) -> None:
        await self._packed.aclose()


_OF_THE_PACKED = (b"content-encoding", b"content-length")
