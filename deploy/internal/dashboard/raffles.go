package main

// raffles is the dashboard of what goes on in the raffles.
var raffles = dashboard{"rafflecast-raffles", "Rafflecast: raffles", []tile{
	{panel{
		"Open", "Raffles that are open.", "short", []query{{`max(rafflecast_participation_raffles_open{@})`, ""}},
	}, "blue", nil},
	{panel{
		"Closing within the hour", "Of them, those that will be closed within the hour.", "short", []query{
			{`max(rafflecast_participation_raffles_closing_soon{@})`, ""},
		},
	}, "blue", nil},
	{panel{
		"Entries per minute", "Entries that were placed, in all raffles.", "short", []query{
			{`60 * sum(rate(rafflecast_participation_entries_total{result="placed",@}[$__rate_interval]))`, ""},
		},
	}, "blue", nil},
	{panel{
		"Late closes and draws", "Time since when the longest overdue close or draw should have been made. A few seconds are normal.", "s", []query{
			{`max(rafflecast_participation_closings_overdue_seconds{@})`, "close"},
			{`max(rafflecast_participation_draws_overdue_seconds{@})`, "draw"},
		},
	}, "green", []step{{10, "orange"}, {60, "red"}}},
}, []row{
	{"Raffles", []panel{
		{
			"Busiest raffles", "Entries within the last minute, of the ten raffles with most of them.", "short",
			[]query{{`topk(10, sum by (raffle) (rafflecast_participation_busiest_raffle_entries{@}))`, "raffle {{raffle}}"}},
		},
		{"Open raffles", "Raffles that are open, and those of them that will be closed within the hour.", "short", []query{
			{`max(rafflecast_participation_raffles_open{@})`, "open"},
			{`max(rafflecast_participation_raffles_closing_soon{@})`, "closing within the hour"},
		}},
		{"Drawings", "Drawings per minute.", "short", []query{
			{`60 * sum(rate(rafflecast_participation_draws_total{@}[$__rate_interval]))`, "drawn"},
		}},
		{"Unreadable raffles", "Times that a raffle was met whose row in the database can't be read.", "short", []query{
			{`sum by (pod) (increase(rafflecast_participation_unreadable_raffles_total{@}[$__rate_interval]))`, "{{pod}}"},
		}},
	}},
}}
