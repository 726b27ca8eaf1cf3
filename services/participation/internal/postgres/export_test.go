package postgres

// The statements whose plans are tested.
const (
	FindStandings     = findStandings
	ListEntries       = listEntries
	ListMemberEntries = listMemberEntries
)
