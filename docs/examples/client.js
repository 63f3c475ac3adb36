const microphone = await navigator.mediaDevices.getUserMedia({ audio: { autoGainControl: false } });
const audio = new AudioContext();
await audio.audioWorklet.addModule(`data:text/javascript,
  registerProcessor("tap", class extends AudioWorkletProcessor {
    process([[pcm]]) { if (pcm) this.port.postMessage(pcm); return true; } })`);
const tap = new AudioWorkletNode(audio, "tap");
const format = `encoding=pcm_f32le&sample_rate=${audio.sampleRate}`;
const socket = new WebSocket(`ws://${location.host}/ws/voice?${format}`, "undertone.v1.json");
tap.port.onmessage = ({ data }) => socket.send(data);
socket.onopen = () => audio.createMediaStreamSource(microphone).connect(tap).connect(audio.destination);
socket.onmessage = ({ data }) => console.log(JSON.parse(data));
