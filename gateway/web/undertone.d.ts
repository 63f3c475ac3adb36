/**
 * Undertone's client for web pages: connect, send audio, listen for how things are said.
 *
 * ```js
 * import { connect } from "/web/undertone.js";
 * const session = await connect();
 * session.addEventListener("tone", ({ detail }) => console.log(detail.label, detail.confidence));
 * session.send(pcm); // 16-bit mono at 16 kHz, about 100 ms each
 * const summary = await session.end();
 * ```
 *
 * A lost connection is resumed by itself: no event comes twice, none is missing unless `missed` says so, and of the
 * audio the last seconds are sent again. Times of the audio are sample indices at the session's own rate.
 */

/** `idle`: left, or not begun. `expired`: the session timed out on the server. `ended`: a summary or a final close. */
export type State = "idle" | "connecting" | "live" | "reconnecting" | "ended" | "expired";

export interface AudioFormat {
  /** How samples are written; those of more than one byte are little-endian. */
  encoding: "pcm_s16le" | "pcm_f32le" | "mulaw" | "alaw";
  /** Hertz, 8000 to 48000. */
  sample_rate: number;
  /** Interleaved. */
  channels: 1 | 2;
}

export type Delivery = "realtime" | "lossless";
export type Feature = "tone" | "speaker" | "transcript" | "queue" | "environ" | "scene" | "accent";

export interface Settings {
  /** Milliseconds from window to window, 100 to `window_ms`. */
  hop_ms: number;
  /** Milliseconds of audio a window holds, 200 to 5000. */
  window_ms: number;
  /** Subtext in Elcor style. */
  elcor: boolean;
  /** BCP 47 tag, at most 35 characters; null where unknown. `configure` with `auto`: find out again. */
  language: string | null;
  /** Expected speakers, 1 to 8; null where unknown. `configure` with 0: find out again. */
  num_speakers: number | null;
  /** 0 to 1; events below it are not sent. */
  min_confidence: number;
  /** Event families wanted. */
  features: Feature[];
  /** What gives way when the server can't keep up. */
  delivery: Delivery;
}

/** Who and what a session belongs to: 1 to 128 printable characters each. */
export interface Metadata {
  user_id?: string;
  device_type?: string;
  client_version?: string;
}

// Events -----------------------------------------------------------------------------------------------

/** Kept for replay, and seen by every reader in the same order. */
export interface DurableEvent {
  /** From 1, +1 each, per session. */
  seq: number;
  session_id: string;
  /** Seconds of session audio. */
  timestamp: number;
}

/** An event that speaks of a stretch of audio. */
export interface AudioEvent extends DurableEvent {
  /** First sample index spoken of. */
  start_sample: number;
  /** One past the last sample index spoken of. */
  end_sample: number;
}

/** What it took. */
export interface Latency {
  /** Milliseconds from the last byte of the audio to the classifier. */
  queued_ms: number | null;
  /** Milliseconds in the classifier. */
  classify_ms: number | null;
}

/** Always first: what is in force, and where to go on. An observer's has only the fields that are not optional. */
export interface Welcome {
  type: "welcome";
  session_id: string;
  /** Opaque; changes only when the server lost history. */
  epoch: string;
  /** The number that the next new durable event gets. */
  next_seq: number;
  /** Everything after the last event seen follows. */
  recovered: boolean;
  /** First and last seq replayed; null where nothing is. */
  replay_from: number | null;
  replay_to: number | null;
  /** Ticket for the next attach; null where none is needed or given. */
  resume_token?: string | null;
  /** `undertone.v1` */
  protocol?: string;
  /** Index of the next sample the server expects. */
  next_sample?: number;
  audio?: AudioFormat;
  /** Milliseconds a window holds. */
  window_ms?: number;
  /** Milliseconds from window to window. */
  hop_ms?: number;
  delivery?: Delivery;
  /** Lossless: sample index up to which audio may be sent; null in realtime. */
  limit?: number | null;
  /** Bounds in force, by name. */
  limits?: Record<string, number>;
  /** Seconds between the server's pings. */
  heartbeat_s?: number;
}

/** A session's: everything is there. */
export type SessionWelcome = Required<Welcome>;

/** How it was said. Further keys of the model pass through. */
export interface ToneEvent extends AudioEvent, Latency {
  type: "tone";
  /** Open vocabulary of the classifier. */
  label: string;
  /** 0 to 1; a score, not a calibrated probability. */
  confidence: number;
  /** `Speaker A`, ... */
  speaker_id: string | null;
  /** 0 to 1: how far from this speaker's usual. */
  shift_magnitude: number | null;
  shift_direction: "escalating" | "de-escalating" | "stable" | null;
  /** One word for people. */
  affect: string | null;
  /** One sentence for people. */
  subtext: string | null;
  /** What stood out in the voice. */
  prosody_flags: string[];
  /** 0 (unpleasant) to 1 (pleasant). */
  valence: number | null;
  /** 0 (calm) to 1 (excited). */
  arousal: number | null;
  /** 0 (submissive) to 1 (dominant). */
  dominance: number | null;
  /** Change since the last tone. */
  arousal_delta: number | null;
  valence_delta: number | null;
  /** The classifier's word for the course of the last tones. */
  trend: string | null;
  /** What classified it. */
  model: string | null;
  [extra: string]: unknown;
}

/** Who is heard: a turn hint, not an identification. */
export interface SpeakerEvent extends AudioEvent, Latency {
  type: "speaker";
  label: "human_single" | "human_multi" | "ivr_synth" | "no_speaker" | "transfer";
  speaker_id: string | null;
  /** 0 to 1. */
  confidence: number | null;
  [extra: string]: unknown;
}

export interface Word {
  /** As written. */
  text: string;
  start_sample: number;
  end_sample: number;
  /** 0 to 1. */
  confidence: number | null;
}

/** What was said; a later revision of the same utterance replaces an earlier one. */
export interface TranscriptEvent extends AudioEvent, Latency {
  type: "transcript";
  /** The utterance so far. */
  text: string;
  speaker_id: string | null;
  /** No revision follows. */
  is_final: boolean;
  /** From 0, +1 with each change of this utterance. */
  revision: number;
  /** BCP 47 tag. */
  language: string | null;
  /** 0 to 1. */
  confidence: number | null;
  /** Where the engine gives them. */
  words: Word[] | null;
  [extra: string]: unknown;
}

/** What state the call is in. */
export interface QueueEvent extends AudioEvent, Latency {
  type: "queue";
  label: "hold_music" | "ringback" | "busy" | "dtmf_tone" | "silence" | "dead_air";
  /** 0 to 1. */
  confidence: number | null;
  /** DTMF digits heard since the last such event, in order. */
  digits: string | null;
  [extra: string]: unknown;
}

/** What surrounds the voice, as a sidecar gives it. */
export interface EnvironEvent extends AudioEvent {
  type: "environ";
  label: string;
  /** 0 to 1. */
  confidence: number | null;
  privacy_risk: string | number | boolean | null;
  [extra: string]: unknown;
}

/** Where it was said, as a sidecar gives it. */
export interface SceneEvent extends AudioEvent {
  type: "scene";
  label: string;
  /** 0 to 1. */
  confidence: number | null;
  privacy_risk: string | number | boolean | null;
  [extra: string]: unknown;
}

/** How the language is spoken, as a sidecar gives it. */
export interface AccentEvent extends AudioEvent {
  type: "accent";
  label: string;
  /** 0 to 1. */
  confidence: number | null;
  region: string | null;
  /** BCP 47 tag. */
  language: string | null;
  [extra: string]: unknown;
}

/** A stretch of audio that was not classified, exact to the sample. */
export interface GapEvent extends AudioEvent {
  type: "gap";
  reason: "client" | "overload" | "classifier" | "drain" | "failover";
}

/** Health of what stands behind the session. */
export interface ServiceEvent extends DurableEvent {
  type: "service";
  status: "ready" | "loading" | "warning" | "error";
  /** One sentence for people. */
  detail: string;
}

/** A task of the session changed its state. */
export interface TaskEvent extends DurableEvent {
  type: "task";
  task_id: string;
  task_type: string;
  state: string;
}

/** The closing account, in sample indices: `next_sample = classified_samples + gap_samples + pending_samples`. */
export interface SummaryEvent extends DurableEvent {
  type: "summary";
  next_sample: number;
  classified_samples: number;
  /** The client's included. */
  gap_samples: number;
  client_gap_samples: number;
  /** `next_sample - client_gap_samples` */
  received_samples: number;
  /** 0 */
  pending_samples: number;
  /** Durable events sent, by type. */
  events: Record<string, number>;
  /** Seconds of session audio. */
  duration_s: number;
  /** In order of appearance. */
  speakers: string[];
  /** The session's record reached its bound and lacks later events. */
  record_truncated: boolean;
}

/** Pressure: at most one a second, and at every change of state. */
export interface FlowEvent {
  type: "flow";
  /** Sample index received up to. */
  received: number;
  /** Sample index classified, or declared a gap, up to. */
  classified: number;
  /** Lossless: sample index up to which audio may be sent; null in realtime. */
  limit: number | null;
  /** Milliseconds of audio waiting. */
  lag_ms: number;
  /** Milliseconds of audio in gaps by overload so far. */
  dropped_ms: number;
  state: "ok" | "lagging" | "shedding";
}

/** This node is going away; the client comes back by itself. */
export interface DrainEvent {
  type: "drain";
  /** Milliseconds to wait before connecting again. */
  retry_after_ms: number;
  /** Where to connect; null for the same address. */
  reconnect_url: string | null;
}

/** Reply to `configure`: the settings in force from the next window on. */
export interface ConfiguredEvent extends Settings {
  type: "configured";
}

/** Reply to `flush`, after its events. */
export interface FlushedEvent {
  type: "flushed";
  id: string | number | null;
}

/** Reply to `ping`. */
export interface PongEvent {
  type: "pong";
  t: number | string | null;
}

/** Something was refused or failed; the session goes on unless `fatal`. */
export interface ErrorEvent {
  type: "error";
  /** Stable name; there may be ones you don't know. */
  code: string;
  /** One sentence for people. */
  message: string;
  /** The field at fault. */
  param: string | null;
  /** The connection is closed after it. */
  fatal: boolean;
}

/** The events of this version, by type. The server may send more; they come as `event` and under their own name. */
export interface ServerEventMap {
  welcome: Welcome;
  tone: ToneEvent;
  speaker: SpeakerEvent;
  transcript: TranscriptEvent;
  queue: QueueEvent;
  environ: EnvironEvent;
  scene: SceneEvent;
  accent: AccentEvent;
  gap: GapEvent;
  service: ServiceEvent;
  task: TaskEvent;
  summary: SummaryEvent;
  flow: FlowEvent;
  drain: DrainEvent;
  configured: ConfiguredEvent;
  flushed: FlushedEvent;
  pong: PongEvent;
  error: ErrorEvent;
}
export type ServerEvent = ServerEventMap[keyof ServerEventMap];

/** What a `state` event tells. While `reconnecting` one comes with each attempt that failed. */
export interface StateDetail {
  state: State;
  previous: State;
  /** An error code, `drain`, `timeout`, `silent`, or the server's words. */
  reason?: string;
  /** WebSocket close code, or what an HTTP answer amounts to; 1006: lost without a word. */
  closeCode?: number;
  error?: UndertoneError;
  /** Milliseconds until the next attempt. */
  retryMs?: number;
  /** With `live`: everything after the last event seen follows. */
  recovered?: boolean;
  /** With `live`: another epoch. The server lost history, and the event numbers begin anew. */
  renumbered?: boolean;
}

export interface ClientEventMap {
  state: StateDetail;
  /** Each server event, whatever its type. */
  event: ServerEvent;
}
export type EventMap = ServerEventMap & ClientEventMap;

// What is connected ------------------------------------------------------------------------------------

/** What a session and an observer have in common. */
export interface Reader extends EventTarget {
  readonly id: string;
  readonly state: State;
  /** Milliseconds of audio that wait for the classifier; null until the server said so. */
  readonly lagMs: number | null;
  /** Durable events that the server could no longer replay. */
  readonly missed: number;
  /** How often a lost connection was replaced by another. */
  readonly resumes: number;
  /** Try to connect now, or find out whether the connection is still there: the page is shown again, the network is
   * back (`online`), or to take up again what was left. */
  wake(): void;
  /** Let go of the connection, and don't come back; the session stays on the server for a while. State `idle`. */
  leave(): void;

  addEventListener<K extends keyof EventMap>(
    type: K,
    listener: ((event: CustomEvent<EventMap[K]>) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof EventMap>(
    type: K,
    listener: ((event: CustomEvent<EventMap[K]>) => void) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** What a reloaded page needs to go on; JSON-able. `token` is a credential: keep it where only the page reads it. */
export interface ReaderMemento {
  session_id: string;
  epoch?: string;
  /** The last durable event seen. */
  after?: number;
  token?: string | null;
}

export interface Memento extends ReaderMemento {
  next_sample?: number;
  audio?: AudioFormat;
}

/** A session and the side that speaks. */
export interface Session extends Reader {
  /** The last one. */
  readonly welcome: SessionWelcome;
  readonly audio: AudioFormat;
  /** Index of the next sample that `send` takes. */
  readonly nextSample: number;
  /** Samples that were let go before the server had them; a `gap` declares each. */
  readonly lostSamples: number;
  /** Seconds of audio that are not on the wire yet. */
  readonly buffered: number;
  /** Lossless: samples that `send` takes now. Realtime: Infinity. */
  readonly room: number;
  readonly memento: Memento;

  /**
   * Send PCM of whole samples; the bytes are copied. Never throws because of the network. Realtime: while it is away
   * or slow the last `backlogSeconds` are kept, and the oldest goes first. More than about three times real time is
   * held back as well, as the server would take it for a flood: give a file to a lossless session.
   * Returns false where nothing was taken: lossless without `room`, or the session is over or was asked to end.
   *
   * Throws TypeError for what is no bytes, UndertoneError `incomplete_sample` for a length of part samples.
   */
  send(pcm: ArrayBuffer | ArrayBufferView): boolean;
  /** Resolves once `send` takes so many samples; at once in realtime. Rejects where the session is over. */
  ready(samples?: number): Promise<void>;
  /** Change settings from the next window on. Rejects where they are refused, `param` names the field. */
  configure(settings: Partial<Settings>): Promise<ConfiguredEvent>;
  /** Classify the partial window now. Resolves after its events. */
  flush(): Promise<FlushedEvent>;
  /** Every event up to `seq` is processed. */
  ack(seq: number): void;
  /** A sign of life; a muted client needs one now and then. Nothing while not live. */
  ping(t?: number | string | null): void;
  /** No more audio comes. Resolves with the closing account; rejects where the session is lost before. */
  end(): Promise<SummaryEvent>;
}

/** A session read by somebody else. */
export interface Observer extends Reader {
  readonly welcome: Welcome;
  readonly memento: ReaderMemento;
}

// How to begin -----------------------------------------------------------------------------------------

/** What this client takes from the browser; each part can be replaced. */
export interface Environment {
  WebSocket: new (url: string, protocols: string[]) => WebSocket;
  fetch(url: string, init?: RequestInit): Promise<Response>;
  setTimeout(then: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
  /** Milliseconds; goes on while the device sleeps. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  location?: { origin: string };
}

export interface CreateOptions {
  /** The gateway's http(s) address; by default the page's own origin. */
  url?: string;
  /** `prefix.secret`, where the gateway has keys. */
  key?: string;
  /** By default 16-bit mono at 16 kHz. */
  audio?: Partial<AudioFormat>;
  settings?: Partial<Settings>;
  metadata?: Metadata;
  environment?: Partial<Environment>;
}

export interface ConnectOptions extends CreateOptions {
  /** An existing session; without it one is created with `audio`, `settings` and `metadata`. */
  sessionId?: string;
  /** Good for one attach, where keys are needed; made from `key` where that is given instead. */
  ticket?: string;
  /** What `session.memento` was before the page was loaded again: goes on with that session. The next audio sent
   * follows the last that the server has. */
  memento?: Memento;
  /** Seconds of audio kept for a lost connection, sent or not; at most 60. */
  backlogSeconds?: number;
}

export interface ObserveOptions {
  url?: string;
  sessionId?: string;
  /** An observer's ticket, where keys are needed. */
  ticket?: string;
  key?: string;
  /** The last event seen, and the epoch it was of; without them all that the server holds is replayed. */
  after?: number;
  epoch?: string;
  /** Instead of the above: what `observer.memento` was. */
  memento?: ReaderMemento;
  environment?: Partial<Environment>;
}

/** The answer of `POST /api/v1/sessions`; it has further fields. */
export interface CreatedSession extends Settings {
  id: string;
  /** Good for one attach, soon. */
  ticket: string;
  status: string;
  /** ISO 8601 */
  created_at: string;
  expires_at: string;
  websocket_url: string;
  events_url: string;
  audio: AudioFormat;
  [field: string]: unknown;
}

export interface UndertoneErrorDetails {
  /** HTTP status. */
  status?: number;
  /** WebSocket close code. */
  closeCode?: number;
  /** The field at fault. */
  param?: string | null;
  /** Milliseconds that the server asked to wait. */
  retryAfterMs?: number;
}

/**
 * The only error of this client, but for TypeError. `code` is the server's (docs/protocol.md, Errors) or one of:
 * `unreachable` no connection, `malformed_message` the server broke the protocol, `invalid_field` a wrong argument,
 * `incomplete_sample`, `session_closed` after `end`, `busy` too many unanswered requests, `left` after `leave`,
 * `refused` an HTTP answer without a code, `closed` a close without a reason.
 */
export class UndertoneError extends Error {
  constructor(code: string, message: string, details?: UndertoneErrorDetails);
  name: string;
  code: string;
  status?: number;
  closeCode?: number;
  param?: string | null;
  retryAfterMs?: number;
}

/** A session on the gateway: created, or one that is there. Resolves after the first `welcome`; the events after it
 * are held until the caller had the time to listen. Rejects with UndertoneError: there is one attempt only. */
export function connect(options?: ConnectOptions): Promise<Session>;
/** Follow a session without speaking. Resolves and rejects as `connect`. */
export function observe(options: ObserveOptions): Promise<Observer>;
/** Make a session without connecting to it. */
export function createSession(options?: CreateOptions): Promise<CreatedSession>;
