// Types of the client's inner modules; never loaded.
import type {
  AudioFormat,
  DrainEvent,
  Environment,
  ErrorEvent,
  Observer,
  Session,
  SessionWelcome,
  State,
  SummaryEvent,
  UndertoneError,
} from "../undertone.js";

export type Input = "open" | "welcome" | "loss" | "final" | "expiry" | "leave" | "wake";
export type Transitions = Readonly<Record<State, Readonly<Partial<Record<Input, State>>>>>;

export interface ControlMessage {
  type: string;
  [field: string]: unknown;
}

/** A control at its place in the audio. */
export interface Mark {
  at: number;
  message: ControlMessage;
  /** On the socket of the moment. */
  sent: boolean;
  resolve(event: unknown): void;
  reject(error: Error): void;
}

export interface Backlog {
  readonly width: number;
  readonly capacity: number;
  delivery: string;
  /** Realtime: samples that may be under way, not confirmed. */
  ahead: number;
  /** Samples let go before the server had them. */
  readonly lostSamples: number;
  /** Index of the next sample to be appended. */
  readonly nextSample: number;
  /** Index of the next sample to be sent on the socket of the moment. */
  readonly wire: number;
  /** Whether nothing may be lost: in force, or asked for. */
  readonly lossless: boolean;
  /** Whether the server may take what goes next for a flood: realtime in force, or just asked for. */
  readonly paced: boolean;
  /** Samples that can be appended. */
  readonly room: number;
  /** Samples that wait for the socket. */
  readonly unsent: number;
  /** Controls without an answer. */
  readonly unanswered: number;
  /** Whole samples; false where there is no room. */
  append(pcm: Uint8Array): boolean;
  /** A control that is said again after a resume until answered. */
  say(message: ControlMessage): Promise<any>;
  /** `ping` or `ack`: of the moment, it waits for no audio; of several `ack` the newest counts. */
  sayNow(message: ControlMessage): void;
  /**
   * What goes onto the wire next, taken for sent; null where nothing does.
   * `limit`: sample index up to which audio may be sent. `most`: samples in one message; 0: controls only.
   */
  take(limit: number | null, most: number): Uint8Array<ArrayBuffer> | ControlMessage | null;
  /** The server has all audio before `sample`. */
  confirm(sample: number): void;
  /** From `drain` on the node answers, but takes no audio in. */
  drain(): void;
  /** Whether a pong answers what only the backlog asked. */
  ponged(t: unknown): boolean;
  /** The oldest such control that was sent; it needs no repetition. */
  answered(type: string, id?: unknown): Mark | undefined;
  /** Nothing more will be answered. */
  forget(error: Error): void;
  /** A new socket: the server goes on at `nextSample`. `renumbered`: no `ack` of the old events holds. */
  rewind(nextSample: number, renumbered: boolean): void;
}

/** A token bucket in samples; a fresh connection has a full one, as the server's does. */
export interface Pace {
  /** Samples that may go at once. */
  burst: number;
  /** Milliseconds until more may be sent. */
  wait(now: number): number;
  spend(samples: number): void;
}

export interface StreamMessage {
  type: string;
  data: string;
  id: string;
}

/** Where a connection begins. */
export interface Line {
  base: string;
  id: string;
  epoch?: string;
  after?: number;
  credential?: string | null;
  key?: string;
  environment: Environment;
}

/** What carries a course: a WebSocket or an event stream. */
export interface Driver {
  /** Open a connection; what becomes of it is told to the course. */
  dial(base: string): void;
  hangUp(code?: number): void;
  /** Ask for a sign of life. */
  probe?(): void;
  adopt?(welcome: SessionWelcome, renumbered: boolean): void;
  /** Learn from an event; false where it is none for the caller. */
  answer?(event: any): boolean;
  /** Nothing more is answered. */
  over?(error: UndertoneError): void;
}

/** What a course knows. */
export interface Standing {
  state: State;
  welcome: any;
  lagMs: number | null;
  missed: number;
  resumes: number;
  epoch: string | undefined;
  after: number | undefined;
  credential: string | null | undefined;
  summary: SummaryEvent | null;
  fatal: ErrorEvent | null;
  drain: DrainEvent | null;
  opening: { resolve(self: unknown): void; reject(error: Error): void } | null;
  /** What came before the caller could listen. */
  held: CustomEvent[] | null;
  /** Where a drain led. */
  elsewhere: string | null;
  /** Least pause before coming back, as an event stream asks. */
  retryMs: number;
}

export interface Course {
  readonly it: Standing;
  /** The caller's object: an EventTarget with what `add` has. */
  expose<T extends object>(add: T): EventTarget & T;
  /** What it takes to go on after the page was loaded again. */
  memento(): import("../undertone.js").ReaderMemento;
  start(): Promise<any>;
  /** Anything came, a comment too. */
  alive(): void;
  /** One event as it was decoded. Throws where the server broke the protocol. */
  hear(event: any): void;
  broken(error: unknown): void;
  /** The connection is gone, or an attempt failed. `problem`: where the answer was one of HTTP. */
  lost(code: number, why?: string, problem?: UndertoneError): void;
}

export type MakeBacklog = (audio: AudioFormat, nextSample: number, seconds: number) => Backlog;
export type MakePace = (rate: number, factor?: number, burst?: number) => Pace;
export type MakeParser = (onRetry?: (ms: number) => void) => (text: string) => StreamMessage[];
export type MakeCourse = (line: Line, driver: Driver) => Course;
export type MakeSession = (line: Line, audio: AudioFormat, seconds: number) => Promise<Session>;
export type MakeObserver = (line: Line) => Promise<Observer>;
export type BaseOf = (url: string | undefined, environment: Environment) => string;
export type ProblemOf = (response: Response) => Promise<UndertoneError>;
export type Post = (
  url: string,
  body: object,
  key: string | undefined,
  environment: Environment,
) => Promise<any>;
