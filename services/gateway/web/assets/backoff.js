// Backoff spaces attempts: each wait doubles up to a limit, and is drawn from its upper half so that the viewers of a
// gateway that went away do not come back in step.
export class Backoff {
  #first;
  #limit;
  #failures = 0;

  constructor(firstMilliseconds, limitMilliseconds) {
    this.#first = firstMilliseconds;
    this.#limit = limitMilliseconds;
  }

  // next returns how long to wait, never less than the server asked for.
  next(askedMilliseconds = 0) {
    const wait = Math.min(this.#limit, this.#first * 2 ** this.#failures);
    this.#failures++;
    return askedMilliseconds + wait * (0.5 + Math.random() / 2);
  }

  reset() {
    this.#failures = 0;
  }
}

// A Retry-After beyond this is taken for a mistake: a page must not sleep for a day.
const longestRetryAfter = 5 * 60_000;

// retryAfter reads the header in both its forms, seconds and a date; 0 without one.
export function retryAfter(response) {
  const value = response.headers.get("Retry-After");
  if (value === null) return 0;
  const milliseconds = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Math.min(Math.max(milliseconds || 0, 0), longestRetryAfter);
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
