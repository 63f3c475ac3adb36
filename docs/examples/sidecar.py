"""A sidecar of your own, whole: says how loud each window is, over both contracts."""

import base64, json, struct
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgpack
import numpy as np

kept = {}  # the states of the single contract's sessions


def classify(samples, state):
    peak = max(state.get("peak", 0.0), float(np.abs(samples / 32768).max()))
    tone = {"event_type": "tone", "label": "Loud" if peak > 0.5 else "Calm", "confidence": 0.5}
    return [tone], {"peak": peak}


class Sidecar(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        batch = {"path": "/v1/classify/batch", "max": 32}
        self.answer("application/json", json.dumps({"status": "ready", "batch": batch}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/classify":
            call = json.loads(body)
            samples = np.frombuffer(base64.b64decode(call["audio_chunk"]), "<i2")
            name = call["session_id"]
            events, kept[name] = classify(samples, kept.get(name, {}))
            self.answer("application/json", json.dumps({"events": events}).encode())
        else:
            (length,) = struct.unpack_from("<I", body)
            answers, at = [], 4 + length
            for window in msgpack.unpackb(body[4:at])["windows"]:
                samples = np.frombuffer(body, "<i2", window["samples"], at)
                at += 2 * window["samples"]
                events, state = classify(samples, msgpack.unpackb(window["state"] or b"\x80"))
                answers.append({"events": events, "state": msgpack.packb(state)})
            self.answer("application/vnd.undertone.answers", msgpack.packb({"v": 1, "windows": answers}))

    def answer(self, kind, body):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 8523), Sidecar) as server:
        server.serve_forever()
