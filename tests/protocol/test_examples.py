"""The clients of docs/examples, run as they are (but for the address) against a server on loopback."""

import asyncio
import struct
import sys
from pathlib import Path

from protocol.connection import Audio
from protocol.control import End
from tests.needs import need_command
from tests.protocol.loopback import Peer, gateway, run
from tests.vectors.messages import EVENTS

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
ADDRESS = "ws://127.0.0.1:8522"

BROWSER = """
let tap;
globalThis.document = {};
globalThis.navigator = { mediaDevices: { getUserMedia: async () => "microphone" } };
globalThis.AudioContext = class {
  sampleRate = 44100;
  destination = "speaker";
  audioWorklet = { addModule: async url => {
    const base = class { port = { postMessage: data => tap.port.onmessage?.({ data }) } };
    const register = (name, processor) => { this.processor = new processor(); };
    const code = decodeURIComponent(url.split(",")[1]);
    new Function("AudioWorkletProcessor", "registerProcessor", code)(base, register);
  } };
  hear() {
    this.processor.process([[]]);
    this.processor.process([[Float32Array.of(0.5, -0.5)]]);
  }
  createMediaStreamSource() {
    return { connect: () => ({ connect: () => setInterval(() => this.hear(), 5).unref() }) };
  }
};
globalThis.AudioWorkletNode = class { port = {}; constructor() { tap = this; } };
"""
"""What of a browser the example touches; the worklet's code is really run."""


async def _output(source: str, url: str, *command: str, stdin: bytes = b"") -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        source.replace(ADDRESS, url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


def test_the_python_example() -> None:
    """It streams standard input to the last byte, ends, and prints every event."""
    heard: list[bytes] = []
    pcm = bytes(range(256)) * 30

    async def script(peer: Peer) -> None:
        await peer.say(EVENTS["welcome"])
        while isinstance(message := await peer.hear(), Audio):
            heard.append(message.data)
        assert message == End()
        await peer.say(EVENTS["tone"], EVENTS["summary"])
        await peer.close()

    async def test() -> None:
        source = (EXAMPLES / "client.py").read_text(encoding="utf-8")
        async with gateway(script) as url:
            out = await _output(source, url, sys.executable, "-c", stdin=pcm)
        assert [line.split('"')[3] for line in out.splitlines()] == ["welcome", "tone", "summary"]

    run(test(), 30)
    assert b"".join(heard) == pcm


def test_the_browser_example() -> None:
    """It sends the microphone's samples as announced, after `welcome`, and shows every event."""
    node = need_command("node")
    seen: list[str] = []

    async def script(peer: Peer) -> None:
        seen.append(peer.request.path)
        await peer.say(EVENTS["welcome"])
        message = await peer.hear()
        assert message == Audio(struct.pack("<2f", 0.5, -0.5))
        await peer.say(EVENTS["tone"], EVENTS["summary"])
        await peer.close()

    async def test() -> None:
        source = BROWSER + (EXAMPLES / "client.js").read_text(encoding="utf-8") + "\ndocument.onclick();"
        async with gateway(script) as url:
            flags = ("--experimental-websocket", "--no-warnings", "--eval")
            out = await _output(source, url, node, *flags)
        assert [line.split()[0] for line in out.splitlines() if line[0].islower()] == [
            "welcome",
            "tone",
            "summary",
        ]

    run(test(), 30)
    assert seen == ["/ws/voice?encoding=pcm_f32le&sample_rate=44100"]
