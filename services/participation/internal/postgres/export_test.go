package postgres

// The statements whose plans are tested.
const (
	UseIndexes        = useIndexes
	FindStandings     = findStandings
	ListEntries       = listEntries
	ListMemberEntries = listMemberEntries
)
