package doctor

// oddsEvent is the name of the event that carries odds, part of the contract.
const oddsEvent = "raffle-winning-probability"
