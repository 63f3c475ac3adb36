// Full jitter: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

/** Milliseconds before attempt n, from 0: uniform below min(10 s, 0.25 s * 2^n). `random` is in [0, 1). */
export const backoffMs = (attempt = 0, random = 0) => random * Math.min(10_000, 250 * 2 ** attempt);
