"""A plain WebSocket server that says back what it hears, with compression where the other side offers it. Prints its port."""

import asyncio
import logging

from websockets.asyncio.server import serve


async def echo(socket):
    async for message in socket:
        await socket.send(message)


async def main():
    logging.getLogger("websockets").addHandler(logging.NullHandler())
    # No bound on a message's size, and no pings of its own: nothing is said that nobody asked for.
    async with serve(echo, "127.0.0.1", 0, max_size=None, ping_interval=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


asyncio.run(main())
