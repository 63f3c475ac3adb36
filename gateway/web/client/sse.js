// The event stream format, cut anywhere: HTML Living Standard, 9.2.6 "Interpreting an event stream".

import { malformed } from "./errors.js";

const MAX_CHARS = 1 << 20;

/** A function that takes text and returns the events complete with it. @type {import("./types.js").MakeParser} */
export const makeParser = (onRetry) => {
  let line = "";
  let afterCr = false;
  let [id, type] = ["", ""];
  /** @type {string[]} */
  let data = [];
  let size = 0;

  const take = (text = "") => {
    const [, field, value] = /** @type {string[]} */ (/^([^:]*):? ?(.*)$/s.exec(text));
    if (field === "data") data.push(value);
    else if (field === "event") type = value;
    else if (field === "id" && !value.includes("\0")) id = value;
    else if (field === "retry" && /^\d+$/.test(value)) onRetry?.(Number(value));
    if (text) return [];
    const messages = data.length ? [{ type: type || "message", data: data.join("\n"), id }] : [];
    type = "";
    data = [];
    size = 0;
    return messages;
  };

  return (text) => {
    if (!text) return [];
    const whole = afterCr && text[0] === "\n" ? text.slice(1) : text;
    afterCr = text.endsWith("\r");
    size += text.length;
    const lines = (line + whole).split(/\r\n|\r|\n/);
    line = lines.pop() ?? "";
    const messages = lines.flatMap(take);
    if (size > MAX_CHARS) throw malformed("an event of the stream is too long");
    return messages;
  };
};
