import type { Odds } from "./rafflecast.js";

/** `<rafflecast-odds raffle="1" src="https://odds.example">`. It fires the event "odds", with Odds as detail. */
export class RafflecastOdds extends HTMLElement {
  addEventListener(type: "odds", listener: (event: CustomEvent<Odds>) => void, options?: AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: AddEventListenerOptions | boolean): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "rafflecast-odds": RafflecastOdds;
  }
}
