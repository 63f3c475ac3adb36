/** Types of the timeline's modules. */

/** An event of the protocol; places are samples. */
export type Event = { type: string; seq: number; [key: string]: any };

/** Events by (start, seq); `longest` and `total` are lengths in samples. */
export type List = { items: Event[]; longest: number; total: number };

/** A lane as it is drawn, in CSS pixels. A speaker has two: the voice, and the words below. */
export type Row = {
  kind: string;
  /** Names the lane, whatever other lanes come and go. */
  lane: string;
  list: List;
  name: string;
  colour: string;
  y: number;
  height: number;
};

export interface Model {
  rate: number;
  /** Events held. */
  count: number;
  /** Sample where the last of them ends. */
  end: number;
  /** The newest event that was let go. */
  dropped: Event | null;
  start(event: Event): number;
  stop(event: Event): number;
  order(a: Event, b: Event): number;
  /** Whether anything changed. */
  add(event: Event): boolean;
  list(...names: string[]): List;
  rows(em: number): Row[];
  /** The first index of a list that may reach to `sample` or beyond. */
  first(list: List, sample: number): number;
}

/** How an event is written and filled; the numbers are of the column being drawn. */
export type Look = {
  word: string;
  colour: string;
  column: number;
  weight: number;
  sure: number;
};

/** A run of audio that is drawn as one: CSS pixels, share of certainty, arousal or NaN. */
export type Piece = {
  x0: number;
  x1: number;
  look: Look;
  sure: number;
  arousal: number;
};

/** An event and the lane it is pointed at in. */
export type Mark = { event: Event; lane: string } | null;

/** What is seen, in seconds. */
export interface View {
  start: number;
  seconds: number;
  following: boolean;
  /** Where the audio stands. */
  edge: number;
  moveTo(edge: number): void;
  /** Larger is closer. What is at `anchor` (0 to 1 of the width) stays; the live edge does when following. */
  zoom(factor: number, anchor?: number): void;
  /** Whether it moved. At the live edge it follows, elsewhere it stays. */
  pan(seconds: number): boolean;
  follow(on: boolean): void;
}

/** The clock of the live edge: seconds of audio by milliseconds of the page. */
export interface Edge {
  tell(seconds: number, now: number): void;
  advance(now: number, smooth: boolean): number;
  moving(now: number): boolean;
}

/** Something drawn from x0 to x1 in a colour or pattern; `more` is its alpha or the width of its line. */
export type Box = (
  x0: number,
  x1: number,
  y: number,
  height: number,
  name: string,
  more?: number,
  dashed?: boolean,
) => void;

/** Text at a place, shortened to the room there is. */
export type Write = (words: string, x: number, y: number, colour: string, room?: number) => void;

export type Scene = {
  model: Model;
  view: View;
  rows: Row[];
  width: number;
  height: number;
  dpr: number;
  hovered: Mark;
  selected: Mark;
};

export interface Painter {
  /** Size of the canvas's text by 16 CSS pixels. */
  readonly em: number;
  /** Width of the column of names at the left. */
  readonly gutter: number;
  /** Read the colours; `dpr` is device pixels by CSS pixel. */
  theme(dpr: number): void;
  draw(scene: Scene): void;
}

/** What is there, and what of it is pointed at. */
export type Shown = Pick<Scene, "model" | "rows" | "hovered" | "selected">;

/** Of the timeline, for the hand. */
export type Tools = {
  canvas: HTMLCanvasElement;
  view: View;
  shown: Shown;
  painter: Painter;
  /** Width of the audio, in CSS pixels */
  room(): number;
  /** Read what changed. */
  measure(): void;
  /** Say what is pointed at. */
  write(): void;
  zoom(factor: number, anchor?: number): void;
  seen(): void;
  pan(share: number): boolean;
  timeline: Timeline;
};

export interface Hand {
  /** By the type of the event. */
  heard: Record<string, (event: any) => void>;
  select(mark: Mark): void;
  /** What is pointed at; empty where nothing is. */
  words(): string;
}

export type Environment = {
  requestAnimationFrame: (callback: (now: number) => void) => unknown;
  performance: { now(): number };
  ResizeObserver: new (callback: () => void) => {
    observe(target: Element): void;
    disconnect(): void;
  };
  matchMedia: (query: string) => { matches: boolean };
};

export interface Methods {
  /** Samples per second. */
  rate: number;
  add(event: Event): void;
  /** Where the audio stands, in samples. */
  live(sample: number): void;
  clear(): void;
  /** Read the theme anew. */
  redraw(): void;
  follow(on: boolean): void;
  /** Larger is closer. */
  zoom(factor: number): void;
  /** In widths of the view; negative is earlier. */
  pan(share: number): boolean;
  dispose(): void;
}

export type Timeline = EventTarget & Methods;
