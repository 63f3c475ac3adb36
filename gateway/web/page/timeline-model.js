// What the timeline holds: lists of events ordered by (start, seq), the same in whatever order they came.
// Of too many it keeps exactly the newest.

/** @import {Event, List, Model, Row} from "./timeline-types.js" */

const RANK = new Intl.Collator("en", { numeric: true }).compare;
/** What an event must say to be shown, by type. @type {Record<string, string>} */
const SAYS = { transcript: "text", gap: "reason" };
const LABELLED = /^(tone|speaker|queue|environ|scene)$/;
/** Speakers with lanes of their own; the others share one. */
const OWN = 8;
/** @type {List} */
const NONE = { items: [], longest: 0, total: 0 };

/** The first index whose item is no longer `before`. @type {(items: Event[], before: (e: Event) => boolean) => number} */
export function search(items, before) {
  let low = 0;
  for (let high = items.length; low < high;) {
    const middle = (low + high) >> 1;
    if (before(items[middle])) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Event} e */
function valid(e) {
  if (!Number.isSafeInteger(e.seq)) return false;
  if (e.type === "service") return /^(warning|error)$/.test(e.status) && e.timestamp >= 0;
  const { start_sample: from, end_sample: to } = e;
  const placed = Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && to > from;
  return placed && typeof e[LABELLED.test(e.type) ? "label" : SAYS[e.type]] === "string";
}

/** The lists that hold an event. @param {Event} e */
function listsOf({ type, speaker_id: who, label, text }) {
  if (type === "transcript") return [text ? `words ${who ?? ""}` : "void"];
  if (type === "tone") return who ? [type, `voice ${who}`] : [type];
  if (type !== "speaker") return [type];
  if (who) return label === "no_speaker" ? [] : [`voice ${who}`];
  return label === "ivr_synth" || label === "transfer" ? ["queue"] : [];
}

/** The default is an hour of talk and some. @returns {Model} */
export function createModel(most = 10_000) {
  /** @type {Map<string, List>} */
  const lists = new Map();
  /** The last revision of each utterance, by its start. @type {Map<number, Event>} */
  const utterances = new Map();
  /** @param {Event} e */
  const start = (e) => e.start_sample ?? e.timestamp * model.rate;
  /** @param {Event} e */
  const stop = (e) => e.end_sample ?? start(e);
  /** @param {Event} a @param {Event} b */
  const order = (a, b) => start(a) - start(b) || a.seq - b.seq;
  /** @param {List} list @param {Event} e */
  const place = ({ items }, e) => search(items, (other) => order(other, e) < 0);

  /** @param {string} name @param {Event} e */
  function insert(name, e) {
    const list = lists.get(name) ?? { items: [], longest: 0, total: 0 };
    const at = place(list, e);
    if (list.items[at]?.seq === e.seq) return false;
    lists.set(name, list);
    list.items.splice(at, 0, e);
    list.longest = Math.max(list.longest, stop(e) - start(e));
    list.total += stop(e) - start(e);
    return true;
  }

  /** @param {Event} e */
  function remove(e) {
    for (const name of listsOf(e)) {
      const list = /** @type {List} */ (lists.get(name));
      list.items.splice(place(list, e), 1);
      list.total -= stop(e) - start(e);
      if (!list.items.length) lists.delete(name);
    }
    if (e.type === "transcript") utterances.delete(e.start_sample);
    model.count--;
  }

  /** @type {Model} */
  const model = {
    rate: 16000,
    count: 0,
    end: 0,
    dropped: null,
    start,
    stop,
    order,
    add(e) {
      if (!valid(e) || (model.dropped && order(e, model.dropped) <= 0)) return false;
      const told = e.type === "transcript" && utterances.get(e.start_sample);
      if (told && (told.revision - e.revision || told.seq - e.seq) >= 0) return false;
      if (told) remove(told);
      const names = listsOf(e);
      if (!names.length || !names.every((name) => insert(name, e))) return false;
      if (e.type === "transcript") utterances.set(e.start_sample, e);
      model.count++;
      model.end = Math.max(model.end, stop(e));
      while (model.count > most) {
        model.dropped = [...lists.values()].map(({ items }) => items[0]).sort(order)[0];
        remove(model.dropped);
      }
      return true;
    },
    list(...names) {
      const found = names.flatMap((name) => lists.get(name) ?? []);
      if (found.length < 2) return found[0] ?? NONE;
      const items = found.flatMap((list) => list.items).sort(order);
      return {
        items,
        longest: Math.max(...found.map((list) => list.longest)),
        total: 0,
      };
    },
    rows(em) {
      /** @type {Row[]} */
      const rows = [];
      let y = 0;
      const row = (/** @type {string} */ kind, name = "", height = 20, colour = "text", lanes = [kind]) => {
        rows.push({
          kind,
          lane: lanes[0],
          list: model.list(...lanes),
          name,
          colour,
          y: y * em,
          height: height * em,
        });
        y += height + (kind === "voice" ? 1 : 5);
      };
      row("service", "", 24);
      row("tone", "Tone", 60);
      const named = [...lists.keys()].flatMap((name) => name.match(/^(?:voice|words) (.*)/s)?.[1] ?? []);
      const speakers = [...new Set(named)].sort(RANK);
      for (let i = 0; i < Math.min(speakers.length, OWN + 1); i++) {
        const shared = i === OWN;
        const names = shared ? speakers.slice(i) : [speakers[i]];
        const letter = shared ? "+" : names[0].replace(/^Speaker (?=.)/, "").slice(0, 2) || "?";
        const own = /^[A-H]$/.test(letter) ? letter.charCodeAt(0) - 64 : i + 1;
        const colour = shared || !names[0] ? "text" : `speaker-${own}`;
        const of = (/** @type {string} */ kind) => names.map((name) => `${kind} ${name}`);
        row("voice", letter, 10, colour, of("voice"));
        row("words", "", 18, colour, of("words"));
      }
      row("queue", "Call", 20, "queue");
      if (lists.has("environ")) row("environ", "Around", 20, "env");
      if (lists.has("scene")) row("scene", "Place", 20, "env");
      const height = y - 29 - 5;
      y = 29;
      row("gap", "", height);
      return rows;
    },
    first: ({ items, longest }, sample) => search(items, (e) => start(e) < sample - longest),
  };
  return model;
}
