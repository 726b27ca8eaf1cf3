// Backoff spaces attempts: the wait doubles with each failure up to a limit, and is drawn at
// random from its upper half, so that the viewers of a gateway that stopped do not all come
// back at once.
export class Backoff {
  #first;
  #limit;
  #failures = 0;

  constructor(firstMilliseconds, limitMilliseconds) {
    this.#first = firstMilliseconds;
    this.#limit = limitMilliseconds;
  }

  // next returns how long to wait, in milliseconds: at least what the server asked for.
  next(askedMilliseconds = 0) {
    const wait = Math.min(this.#limit, this.#first * 2 ** this.#failures);
    this.#failures++;
    return askedMilliseconds + wait * (0.5 + Math.random() / 2);
  }

  reset() {
    this.#failures = 0;
  }
}

// A longer Retry-After is a mistake: a page must not sleep for a day.
const longestRetryAfter = 5 * 60_000;

// retryAfter returns the milliseconds of a Retry-After header, in either form (seconds or a
// date), or 0 without one.
export function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (value === null) return 0;
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Math.min(Math.max(milliseconds || 0, 0), longestRetryAfter);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
