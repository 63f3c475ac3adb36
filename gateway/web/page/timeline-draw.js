// Draws the timeline. Colours are custom properties of the canvas, `--tl-` and a name, at least 3:1 on `bg`; blocks
// are tinted with them. Patterns, letters and words tell things apart; colour only helps.

import { familyOf, wordOf } from "./timeline-labels.js";
import { clock } from "./words.js";

/** @import {Box, Event, Look, Mark, Painter, Piece, Row, Scene, Write} from "./timeline-types.js" */

/** Paths in squares of 8 by 8. @type {Record<string, string>} */
const TILES = {
  "tone-calm": "M2 2h1M6 6h1",
  "tone-animated": "M-2 2l4 -4M0 8l8 -8M6 10l4 -4",
  "tone-tense": "M0 2l4 4l4 -4M0 6l4 4l4 -4M0 -2l4 4l4 -4",
  "tone-subdued": "M0 2h8M0 6h8",
  "tone-other": "M4 2v4M2 4h4",
  gap: "M-2 6l4 4M0 0l8 8M6 -2l4 4",
};
const TILE = 8;
/** CSS pixels of a column where there are more tones than can be told apart. */
const COLUMN = 6;
const LOW = 0.3;
const TICKS = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

/** @param {HTMLCanvasElement} canvas @returns {Painter} */
export function createPainter(canvas) {
  const ctx = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const page = canvas.ownerDocument;
  const style = /** @type {Window} */ (page.defaultView).getComputedStyle(canvas);
  /** @type {Map<string, string>} */
  const inks = new Map();
  /** @type {Record<string, CanvasPattern | null>} */
  const tiles = {};
  /** @type {Map<string, Look>} */
  const looks = new Map();
  /** @type {Map<string, number>} */
  const widths = new Map();
  /** What is seen of a list, kept from frame to frame. @type {Piece[]} */
  const pieces = [];
  let [em, font, left] = [1, "", 0];
  let [used, count, lastColumn, heard, most] = [0, 0, 0, 0, 0];
  /** @param {number} sample */
  let xOf = (sample) => sample;

  /** A colour as the browser resolves it: system colours, light-dark(), mixes. @param {string} name */
  function ink(name) {
    if (!inks.has(name)) {
      canvas.style.color = `var(--tl-${name})`;
      inks.set(name, style.color);
      canvas.style.color = "";
    }
    return inks.get(name) ?? "";
  }

  /** @param {number} dpr */
  function theme(dpr) {
    canvas.style.setProperty("forced-color-adjust", "none");
    inks.clear();
    em = parseFloat(style.fontSize) / 16 || 1;
    font = `${12 * em}px ${style.fontFamily}`;
    widths.clear();
    const tile = page.createElement("canvas");
    const pen = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
    for (const name in TILES) {
      tile.width = tile.height = Math.round(TILE * dpr);
      const scale = tile.width / TILE;
      pen.scale(scale, scale);
      pen.strokeStyle = ink(name);
      pen.globalAlpha = name === "gap" ? 1 : 0.5;
      pen.stroke(new Path2D(TILES[name]));
      tiles[name] = ctx.createPattern(tile, "repeat");
      tiles[name]?.setTransform({ a: 1 / scale, d: 1 / scale });
    }
  }

  /** @type {Box} */
  const block = (x0, x1, y, height, colour, alpha = 1) => {
    ctx.globalAlpha = alpha;
    ctx.fillStyle = ink(colour);
    ctx.fillRect(x0, y, Math.max(x1 - x0, 1), height);
    ctx.globalAlpha = 1;
  };

  /** @type {Box} */
  const pattern = (x0, x1, y, height, name) => {
    const tile = tiles[name];
    if (!tile) return;
    ctx.fillStyle = tile;
    ctx.fillRect(x0, y, x1 - x0, height);
  };

  /** @type {Box} */
  const frame = (x0, x1, y, height, colour, width = 1, dashed = false) => {
    ctx.setLineDash(dashed ? [3, 3] : []);
    ctx.strokeStyle = ink(colour);
    ctx.lineWidth = width;
    ctx.strokeRect(x0 + 0.5, y + 0.5, x1 - x0 - 1, height - 1);
  };

  /** @type {Write} */
  const text = (words, x, y, colour, room = Infinity) => {
    if (room < 16 * em) return;
    if (widths.size > 2000) widths.clear();
    const wide = widths.get(words) ?? ctx.measureText(words).width;
    widths.set(words, wide);
    const letters = wide > room ? Math.floor((words.length * room) / wide) - 2 : words.length;
    if (letters < Math.min(words.length, 3)) return;
    ctx.fillStyle = ink(colour);
    ctx.fillText(letters < words.length ? words.slice(0, letters) + "…" : words, x, y);
  };

  /** @param {Event} e @param {string} kind */
  function lookOf(e, kind) {
    const key = kind === "voice" ? "" : `${e.type} ${e.digits || e.affect || e.label}`; // each type has its words
    let look = looks.get(key);
    if (!look) {
      if (looks.size > 500) looks.clear();
      look = {
        word: key && wordOf(e),
        colour: key && `tone-${familyOf(e)}`,
        column: 0,
        weight: 0,
        sure: 0,
      };
      looks.set(key, look);
    }
    return look;
  }

  /** One piece an event, or one a column: it looks as most of its audio does, with the mean of its arousal.
   * @param {Event} e @param {number} x0 @param {number} x1 @param {string} kind @param {number} column 0 for none */
  function piece(e, x0, x1, kind, column) {
    const look = lookOf(e, kind);
    if (!column || column !== lastColumn) {
      const fresh = (pieces[used++] ??= {
        x0,
        x1,
        look,
        sure: 0,
        arousal: NaN,
      });
      fresh.x0 = x0;
      fresh.arousal = NaN;
      heard = most = 0;
      count++;
    }
    if (look.column !== count) look.weight = look.sure = 0;
    look.column = count;
    lastColumn = column;
    const last = pieces[used - 1];
    last.x1 = x1;
    if (e.arousal != null) last.arousal = ((last.arousal || 0) * heard + e.arousal) / ++heard;
    const length = e.end_sample - e.start_sample;
    look.weight += length;
    look.sure += length * (kind === "voice" ? 1 : (e.confidence ?? 0.5));
    if (look.weight < most) return;
    most = look.weight;
    last.look = look;
    last.sure = look.sure / look.weight;
  }

  /** Neighbours that say the same, as one block. @param {number} i @param {Row} row */
  function run(i, { kind, y, height, colour }) {
    const { x0, look, sure } = pieces[i];
    const low = sure < LOW;
    const voice = kind === "voice";
    const ink = kind === "tone" ? look.colour : colour;
    let x1 = x0;
    for (; i < used; i++) {
      const p = pieces[i];
      if (p.look !== look || p.sure < LOW !== low || p.x0 - x1 > 1) break;
      x1 = Math.max(x1, p.x1);
      if (!voice) block(p.x0, p.x1, y, height, ink, 0.08 + 0.3 * p.sure);
    }
    if (!low) block(x0, x1, y, voice ? height : 3, ink);
    if (voice) return i;
    if (kind === "tone") pattern(x0, x1, y + 20 * em, height - 20 * em, ink);
    if (x1 - x0 > COLUMN && !lastColumn) frame(x0, x1, y, height, ink, 1, low);
    const at = Math.max(x0, left) + 4;
    const words = low && look.word ? look.word + "?" : look.word;
    text(words, at, y + 11 * em, "text", x1 - at - 2);
    return i;
  }

  /** Arousal, 0 below and 1 above. @param {number} y @param {number} height */
  function line(y, height) {
    ctx.beginPath();
    let joined = false;
    for (let i = 0; i < used; i++) {
      const { x0, x1, arousal } = pieces[i];
      if (Number.isNaN(arousal)) continue;
      const at = y + height * (1 - Math.min(Math.max(arousal, 0), 1));
      if (!joined) ctx.moveTo(x0, at);
      ctx.lineTo((x0 + x1) / 2, at);
      joined = i + 1 < used && !Number.isNaN(pieces[i + 1].arousal) && pieces[i + 1].x0 - x1 <= 1;
      if (!joined) ctx.lineTo(x1, at);
    }
    ctx.setLineDash([]);
    const stroke = (/** @type {string} */ colour, /** @type {number} */ width) => {
      ctx.strokeStyle = ink(colour);
      ctx.lineWidth = width;
      ctx.stroke();
    };
    stroke("bg", 4);
    stroke("arousal", 2);
  }

  /** @param {Row} row @param {Scene} scene @param {number} column samples */
  function lane({ kind, list, y, height, colour }, { model, view }, column) {
    const from = view.start * model.rate;
    const until = from + view.seconds * model.rate;
    const wide = +(kind === "tone" && column * list.items.length > list.total);
    used = lastColumn = 0;
    for (let i = model.first(list, from); i < list.items.length; i++) {
      const e = list.items[i];
      const start = model.start(e);
      if (start > until) break;
      const x0 = xOf(start);
      const x1 = xOf(model.stop(e));
      if (kind === "words") {
        block(x0, x1 - 1, y + height - 3, 2, colour, e.is_final ? 1 : 0.4);
        text(e.text, x0 + 2, y + height / 2 - 2, "text", x1 - x0 - 4);
      } else if (kind === "service") {
        ctx.fillStyle = ink("warn");
        ctx.fill(new Path2D(`M${x0 - 4} ${height - 5}l4 -4l4 4l-4 4z`));
      } else if (kind === "gap") {
        block(x0, x1, y, height, "bg", 0.6);
        pattern(x0, Math.max(x1, x0 + 2), y, height, kind);
      } else if (x1 >= 0) piece(e, x0, x1, kind, wide && 1 + Math.floor(start / column));
    }
  }

  /** @param {Scene} scene */
  function draw(scene) {
    const { view, width, height, dpr, rows, model } = scene;
    const scale = (width - painter.gutter) / view.seconds;
    // Whole device pixels, so that letters don't shimmer; patterns stay with the audio.
    const first = Math.round(view.start * scale * dpr) / dpr;
    left = first % TILE;
    xOf = (sample) => Math.round((sample / model.rate) * scale * dpr) / dpr - first + left;
    ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
    ctx.font = font;
    ctx.textBaseline = "middle";
    block(0, width, 0, height, "bg");
    ctx.save();
    ctx.beginPath();
    ctx.rect(painter.gutter, 0, width, height);
    ctx.clip();
    ctx.translate(painter.gutter - left, 0);
    const step = TICKS.find((s) => s * scale >= 64 * em) ?? 7200;
    const until = view.start + view.seconds;
    for (let i = Math.floor(view.start / step); i * step < until; i++) {
      const x = xOf(i * step * model.rate);
      block(x, x + 1, 0, height, "grid");
      text(clock(i * step, step < 1), x + 4, 8 * em, "text");
    }
    for (const row of rows) {
      lane(row, scene, (COLUMN / scale) * model.rate);
      for (let i = 0; i < used;) i = run(i, row);
      if (row.kind === "tone") line(row.y + 22 * em, row.height - 24 * em);
    }
    const edge = xOf(view.edge * model.rate);
    if (view.edge < until) block(edge - 1, edge + 1, 0, height, "live");
    outline(scene.hovered, scene, "text", 1);
    outline(scene.selected, scene, "focus", 3);
    ctx.restore();
    for (const { kind, name, colour, y } of rows) {
      const voice = kind === "voice";
      if (voice) block(4 * em, 26 * em, y, 22 * em, colour);
      text(name, (voice ? 10 : 4) * em, y + 12 * em, voice ? "bg" : "text");
    }
  }

  /** @param {Mark} mark @param {Scene} scene @param {string} colour @param {number} width */
  function outline(mark, { rows, model }, colour, width) {
    const row = rows.find(({ lane }) => lane === mark?.lane);
    if (!mark || !row) return;
    const pad = row.kind === "service" ? 7 : 1;
    const x0 = xOf(model.start(mark.event));
    const x1 = xOf(model.stop(mark.event));
    frame(x0 - pad, x1 + pad, row.y - 1, row.height + 2, colour, width);
  }

  const painter = {
    get em() {
      return em;
    },
    get gutter() {
      return 48 * em;
    },
    theme,
    draw,
  };
  return painter;
}
