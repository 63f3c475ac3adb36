"""Events of raw PCM on standard input: `arecord -q -t raw -f S16_LE -r 16000 | python client.py`."""

import asyncio
import sys

from websockets.asyncio.client import connect


async def send(socket):
    clock = asyncio.get_running_loop().time
    due = clock()
    while pcm := await asyncio.to_thread(sys.stdin.buffer.read, 3200):  # 100 ms, 16 kHz mono, 16 bit
        await socket.send(pcm)
        due += 0.1
        await asyncio.sleep(due - clock())  # a file is read no faster than it was spoken
    await socket.send('{"type":"end"}')


async def main():
    async with connect("ws://127.0.0.1:8522/ws/voice", subprotocols=["undertone.v1.json"]) as socket:
        sys.stdout.write(await socket.recv() + "\n")  # welcome
        sending = asyncio.create_task(send(socket))
        async for event in socket:
            sys.stdout.write(event + "\n")
        await sending


asyncio.run(main())
