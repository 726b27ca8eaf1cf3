package fanout

// subscribers are a topic's subscriptions, with a pass over them. A pass visits each
// subscription, in chunks and going round: when the next pass begins before the last
// has ended, it begins where that one was, so that none is visited twice while others
// wait.
type subscribers struct {
	list []subscriber
	// The pass still has to visit todo entries, from next on, going round.
	next, todo int
}

type subscriber struct {
	conn *conn
	sub  *Subscription
}

// startPass begins a pass.
func (s *subscribers) startPass() { s.todo = len(s.list) }

// visit returns the next subscriber of the pass. Call it only while todo is above 0.
func (s *subscribers) visit() subscriber {
	s.todo--
	if s.next >= len(s.list) {
		s.next = 0
	}
	s.next++
	return s.list[s.next-1]
}

// add adds a subscription, which a pass that is under way does not visit.
func (s *subscribers) add(c *conn, sub *Subscription) {
	// It comes last. A pass that has yet to go round comes across it.
	if s.todo > 0 && s.next+s.todo > len(s.list) {
		s.todo++
	}
	s.list = append(s.list, subscriber{})
	s.place(subscriber{c, sub}, len(s.list)-1)
}

// remove removes a subscription. The last entry takes its place, so it must not move
// from what a pass has yet to visit to what it has visited: then the entry that was
// visited last moves instead, and the last entry takes that one's place.
func (s *subscribers) remove(sub *Subscription) {
	n := len(s.list)
	if s.next >= n {
		s.next = 0
	}
	index, last := int(sub.index), n-1
	isAhead := func(i int) bool { return (i-s.next+n)%n < s.todo }
	switch {
	case !isAhead(last):
	case isAhead(index):
		s.todo--
	default:
		s.next--
		s.place(s.list[s.next], index)
		index = s.next
	}
	s.place(s.list[last], index)
	s.list[last] = subscriber{}
	s.list = s.list[:last]
}

func (s *subscribers) place(entry subscriber, index int) {
	s.list[index] = entry
	entry.sub.index = int32(index)
}
