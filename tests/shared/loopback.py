"""A server on this machine that says exactly the bytes a test wants, also those that no good server would say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Loopback:
    """`requests` are the request lines that came. Answers are given in turn; an empty one closes the connection."""

    answers: list[bytes]
    url: str = ""
    requests: list[str] = field(default_factory=list[str])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                self.requests.append(lines[0].removesuffix(" HTTP/1.1"))
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                await reader.readexactly(int(headers.get("content-length", "0")))
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if b"keep-alive" not in answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller hung up
        finally:
            writer.close()


@asynccontextmanager
async def loopback(*answers: bytes) -> AsyncGenerator[Loopback]:
    served = Loopback(list(answers))
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    served.url = f"http://{host}:{port}"
    try:
        yield served
    finally:
        server.close()


def ok(body: bytes = b"{}", *, connection: str = "close", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n%s\r\n%s" % (
        len(body),
        connection.encode(),
        headers,
        body,
    )
