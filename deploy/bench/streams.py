"""Thousands of streams at once that say a word now and then: what an open one costs in memory."""

import asyncio
import json
import threading
import time

from cost import resident_kib
from load import line

# An event a stream and so many seconds; the first ones come at once.
EVERY = 5
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(data):
    text = f"data: {data}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


class Upstream:
    """Answers every call with a stream that goes on until it is told to end."""

    def __init__(self):
        self.loop, self.over, self.streams = asyncio.new_event_loop(), None, 0
        ready = threading.Event()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.serve(ready),), daemon=True)
        self.thread.start()
        ready.wait()

    async def serve(self, ready):
        self.over = asyncio.Event()
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0, backlog=4096)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.over.wait()
        await asyncio.sleep(EVERY + 2)
        server.close()

    async def answer(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = next((int(part.split(b":")[1]) for part in head.split(b"\r\n") if part.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
            if not head.startswith(b"post"):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
                return await writer.drain()
            self.streams += 1
            writer.write(HEAD)
            while not self.over.is_set():
                writer.write(event(json.dumps({"id": "1", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "word"}}]})))
                await writer.drain()
                try:
                    await asyncio.wait_for(self.over.wait(), EVERY)
                except asyncio.TimeoutError:
                    pass
            usage = {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}
            writer.write(event(json.dumps({"id": "1", "object": "chat.completion.chunk", "choices": [], "usage": usage})) + event("[DONE]") + b"0\r\n\r\n")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def end(self):
        self.loop.call_soon_threadsafe(self.over.set)


async def hold(port, host, key, model, count, upstream, measure):
    body = json.dumps({"model": model, "stream": True, "max_tokens": 64, "messages": [{"role": "user", "content": "hello"}]}).encode()
    request = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\nconnection: close\r\ncontent-type: application/json\r\n"
               f"content-length: {len(body)}\r\n\r\n").encode() + body
    gate = asyncio.Semaphore(64)

    async def one():
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            status = await reader.readline()
            if b" 200 " not in status:
                raise SystemExit(f"bench: a stream was answered with {status!r}")
            await reader.readuntil(b"data: ")
        seen = await reader.read()
        writer.close()
        return b"[DONE]" in seen

    streams = [asyncio.create_task(one()) for _ in range(count)]
    began = time.monotonic()
    while upstream.streams < count and time.monotonic() - began < 300:
        failed = next((stream for stream in streams if stream.done() and stream.exception()), None)
        if failed:
            raise failed.exception()
        await asyncio.sleep(0.2)
    opened = time.monotonic() - began
    await asyncio.sleep(2 * EVERY)
    measured = measure()
    upstream.end()
    whole = sum(await asyncio.gather(*streams))
    return opened, whole, measured


def measure(loops, key, model, upstream, count):
    """Opens so many streams through a server whose upstream is this one, and tells what they cost it."""
    before = resident_kib(loops.child.process.pid)
    opened, whole, during = asyncio.run(
        hold(loops.port, loops.host, key, model, count, upstream, lambda: resident_kib(loops.child.process.pid)))
    line(f"{count} open streams", f"{during / 1024:.0f} MB resident (aim: under 300 MB), {(during - before) / count:.1f} kB each; "
         f"opened in {opened:.1f} s, {whole} ended whole")
