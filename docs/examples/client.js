const { connect } = await import("/web/undertone.js");
const { capture } = await import("/web/capture.js");
const session = await connect({ settings: { elcor: true } });
session.addEventListener("event", ({ detail }) => console.log(detail));
const microphone = await capture({
  source: { kind: "microphone" },
  onFrame: (pcm) => session.send(pcm),
});
