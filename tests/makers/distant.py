"""A server as it is seen from far away: every answer comes later."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def distant(endpoint: str, *, delay_s: float) -> Iterator[str]:
    """Passes bytes to a server and back, the latter after a pause; any number of connections at once.

    Args:
        endpoint: Address of the server.
        delay_s: The pause; without one the server itself is used.

    Yields:
        The address to use.
    """
    if not delay_s:
        yield endpoint
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    port = urlsplit(endpoint).port

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_passed(reader, there_writer, 0.0), _passed(there_reader, writer, delay_s))

    listening = asyncio.run_coroutine_threadsafe(asyncio.start_server(connected, "127.0.0.1", 0), loop).result()
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def _end_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            await asyncio.sleep(delay_s)
            writer.write(data)
            await writer.drain()
    writer.close()
