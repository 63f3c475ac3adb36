// The declared API as its users write it; only the compiler reads this.

import {
  UndertoneError,
  connect,
  createSession,
  observe,
  type Memento,
  type Observer,
  type ServerEvent,
  type Session,
  type State,
  type SummaryEvent,
} from "../../../gateway/web/undertone.js";

export async function speak(frames: AsyncIterable<ArrayBuffer>): Promise<SummaryEvent> {
  const session: Session = await connect({
    url: "https://gateway.example",
    key: "prefix.secret",
    settings: { window_ms: 1500, hop_ms: 500, features: ["tone", "transcript"], delivery: "lossless" },
    metadata: { user_id: "u1" },
    backlogSeconds: 5,
  });
  session.addEventListener("tone", ({ detail }) => {
    const label: string = detail.label;
    const arousal: number | null = detail.arousal;
    return [label, arousal, detail.start_sample / session.audio.sample_rate, detail.anything];
  });
  session.addEventListener("transcript", ({ detail }) => detail.words?.map((word) => word.end_sample));
  session.addEventListener("state", ({ detail }) => {
    const state: State = detail.state;
    return [state, detail.error?.code, detail.renumbered, detail.retryMs];
  });
  session.addEventListener("event", ({ detail }) => told(detail), { once: true });
  session.addEventListener("not known yet", (event) => event.type);
  for await (const frame of frames) {
    await session.ready(frame.byteLength / 2);
    const taken: boolean = session.send(frame);
    if (!taken) break;
  }
  const { hop_ms } = await session.configure({ hop_ms: 250 });
  session.ack(hop_ms);
  session.ping();
  await session.flush();
  const memento: Memento = session.memento;
  sessionStorage.setItem("memento", JSON.stringify(memento));
  return session.end();
}

function told(event: ServerEvent): string {
  switch (event.type) {
    case "gap":
      return event.reason;
    case "summary":
      return `${event.duration_s} s`;
    case "error":
      return event.fatal ? event.code : event.message;
    default:
      return event.type;
  }
}

export async function watch(): Promise<Observer> {
  const { id, ticket } = await createSession({ settings: { language: "en" } });
  const observer = await observe({ sessionId: id, ticket });
  observer.wake();
  observer.leave();
  // @ts-expect-error an observer only reads
  observer.send(new ArrayBuffer(2));
  return observer;
}

export function explain(error: unknown): string {
  return error instanceof UndertoneError
    ? `${error.code} ${error.status ?? error.closeCode ?? ""}`
    : String(error);
}

// @ts-expect-error settings are those of the protocol
void connect({ settings: { tempo: 1 } });
// @ts-expect-error an observer needs options
void observe();
