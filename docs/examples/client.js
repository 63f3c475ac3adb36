// Put this into a page, click it, allow the microphone, and watch the console.
document.onclick = async () => {
  document.onclick = null;
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
  const audio = new AudioContext();
  await audio.audioWorklet.addModule("data:text/javascript," + encodeURIComponent(`
    registerProcessor("tap", class extends AudioWorkletProcessor {
      process([[samples]]) { if (samples) this.port.postMessage(samples); return true; }
    })`));
  const tap = new AudioWorkletNode(audio, "tap");
  const format = `encoding=pcm_f32le&sample_rate=${audio.sampleRate}`;
  const socket = new WebSocket(`ws://127.0.0.1:8522/ws/voice?${format}`, "undertone.v1.json");
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    console.log(event.type, event);
    if (event.type === "welcome") tap.port.onmessage = ({ data }) => socket.readyState === 1 && socket.send(data);
  };
  audio.createMediaStreamSource(microphone).connect(tap).connect(audio.destination);
};
