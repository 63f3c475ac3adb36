// Parts that are loaded when somebody needs them.

/** What cannot be loaded is asked for again next time. @template T @param {() => Promise<T>} load @returns {() => Promise<T>} */
export function once(load) {
  /** @type {Promise<T> | undefined} */
  let loaded;
  return () =>
    (loaded ??= load().catch((error) => {
      loaded = undefined;
      throw error.code ? error : { code: "unreachable", message: String(error) };
    }));
}
