/** What is known of a raffle: the data of a gateway's event, version by version. */
export interface Odds {
  id: number;
  /** Names this life of the raffle: versions of different epochs can't be compared. */
  epoch: string;
  version: number;
  state: "SCHEDULED" | "OPEN" | "CLOSED" | "CANCELLED" | "DRAWN";
  title: string;
  entries: number;
  members: number;
  winners: number;
  maxEntriesPerMember?: number;
  /** Chance in percent that one entry wins; null before the first entry. */
  winnerProbability: number | null;
  /** The same for one more entry; null unless the raffle is open. */
  nextEntryProbability: number | null;
  opensAt: string | null;
  closesAt: string | null;
  drawsAt?: string | null;
  /** When this version was made. */
  at?: string;
  /** Fields of draws, and of later versions of the gateway. */
  [field: string]: unknown;
}

export interface State {
  /**
   * connecting: nothing has been heard yet, or the connection is being opened again.
   * live: the stream has brought an event, and changes arrive as they happen.
   * delayed: the network holds streams back, or the gateway has no room for one; the odds are
   * asked for every few seconds.
   * offline: nothing can be heard. Attempts go on.
   * ended: all odds are final, or the raffles do not exist.
   * Of several raffles, the worst state counts, in the order ended, live, delayed, connecting, offline.
   */
  state: "connecting" | "live" | "delayed" | "offline" | "ended";
  /**
   * "" or why: interrupted, held (the stream is silent), polling, network, busy (503 or 429),
   * failed (another status), unauthenticated (401), forbidden (403), missing (404), invalid (400),
   * final. A watch that is unauthenticated, forbidden or missing goes on trying until its state is ended.
   */
  reason: string;
  /** When the odds were last known to be the newest, by the server's clock, in milliseconds; 0 for never. */
  asOf: number;
}

export interface WatchOptions {
  /** The gateway's address; by default that of the page. Node.js has no default. */
  url?: string;
  ids: number | string | Iterable<number | string>;
  /** Called once with each new version, never with an older one of the same epoch. */
  onOdds?: (odds: Odds) => void;
  /** Called when state or reason change. */
  onState?: (state: State) => void;
  /** Closes the watch. */
  signal?: AbortSignal;
  /** In place of the global one. The stream is not shared then. */
  fetch?: typeof fetch;
  /** For each request, as for a token. The stream is not shared with other watches then. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>);
  /** As of fetch; by default same-origin. */
  credentials?: RequestCredentials;
  /** Whether all tabs of the browser, and all watches of this one, have one stream; by default true. */
  share?: boolean;
  /** Waits in milliseconds, for tests and unusual networks; connection.js lists them. */
  timing?: Partial<Record<string, number>>;
}

export interface Watch {
  /** The ids, as text. */
  readonly ids: readonly string[];
  /** Watches other raffles instead. */
  setIds(ids: WatchOptions["ids"]): void;
  /** The server's time in milliseconds, whatever the clock here shows. */
  now(): number;
  close(): void;
}

export function watchOdds(options: WatchOptions): Watch;

/** Reports whether odds will never change again. */
export function isFinal(odds: Odds): boolean;
