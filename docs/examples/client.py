import sys, threading, time, wave
from websockets.sync.client import connect

wav = wave.open(sys.argv[1])  # 16-bit samples, 8 to 48 kHz, mono or stereo
url = f"ws://127.0.0.1:8522/ws/voice?sample_rate={wav.getframerate()}&channels={wav.getnchannels()}"
socket = connect(url, subprotocols=["undertone.v1.json"])
threading.Thread(target=lambda: [print(event, flush=True) for event in socket]).start()
while pcm := wav.readframes(wav.getframerate() // 10):
    socket.send(pcm)
    time.sleep(0.1)
socket.send('{"type":"end"}')
