/** Shapes that the modules of the capture share. Types only: no browser loads this file. */

export type CaptureErrorCode =
  | "permission_denied"
  | "no_device"
  | "device_busy"
  | "insecure_context"
  | "unsupported"
  /** The prompt or the picker was closed, or the signal was aborted. */
  | "cancelled"
  | "bad_file"
  | "no_audio_track";

/** dBFS, from -100 to 0; a square wave of full scale has an RMS of 0 */
export interface Level {
  rms: number;
  peak: number;
}

/** "ended": the file is over or the sharing of the tab was stopped. */
export type EndReason = "ended" | "device_lost" | "permission_lost";

export interface Facts {
  /** Of the device or the file, as the browser names it */
  readonly label: string;
  /** The browser's processing that is on, asked for or not: "autoGainControl", "noiseSuppression", … */
  readonly processing: string[];
  /** The system has taken the sound for a time, as for a telephone call, or waits for a gesture. */
  readonly interrupted: boolean;
}

export type Source =
  | { kind: "microphone"; deviceId?: string; processing?: boolean }
  | { kind: "tab" }
  | { kind: "file"; file: Blob };

export interface Options {
  source: Source;
  /** Hz; 16000 */
  sampleRate?: number;
  /** Milliseconds, at most 1000; 100 */
  frameMs?: number;
  /** 16-bit mono; exactly a frame each time, but for the last one of a file */
  onFrame(pcm: ArrayBuffer): void;
  /** With each frame, after it */
  onLevel?(level: Level): void;
  /** Everything is released by then. Not called after `stop()`. */
  onEnd?(reason: EndReason): void;
  /** Another device took over, or `interrupted` changed. */
  onChange?(facts: Facts): void;
  /** Stops the capture, also while it starts. */
  signal?: AbortSignal;
  /** What a window has; the browser's by default */
  environment?: typeof globalThis;
}

export interface Capture extends Facts {
  readonly sampleRate: number;
  /** Silence instead of sound; the frames go on. */
  mute(on: boolean): void;
  /** Releases everything, and resolves when it is released. */
  stop(): Promise<void>;
}

/** What a source is opened with. */
export interface Setup {
  source: any;
  sampleRate: number;
  /** Samples */
  frame: number;
  env: typeof globalThis;
  outlet: {
    frame(pcm: ArrayBuffer, level: Level): void;
    end(reason: EndReason): void;
    change(facts: Facts): void;
  };
  /** Aborted when everything is to be released */
  signal: AbortSignal;
}

export interface Opened extends Facts {
  enable(on: boolean): void;
  /** Resolves when everything is released, once the signal was aborted. */
  closed?: Promise<void>;
}

/** The parts of a running stream, as far as they exist by now. */
export interface Graph {
  stream: MediaStream;
  track: MediaStreamTrack;
  context: AudioContext;
  input: MediaStreamAudioSourceNode;
  node: AudioWorkletNode;
  /** By the rate of the context */
  processor: "pcm" | "pcm-resampling";
  enabled: boolean;
  /** State of the permission right after the start */
  permission?: PermissionState;
  interrupted: boolean;
  /** While it starts, and from one device to another */
  moving: boolean;
}
