package outbox

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// running returns an outbox that has published version 2 of raffles 1 to 3.
func running(t *testing.T, reconnected <-chan struct{}) *testBundle {
	t.Helper()
	b := setup(t, testInterval)
	for id := int64(1); id <= 3; id++ {
		b.source.raffles[id] = version(id, 2)
	}
	b.startOutbox(t, reconnected)
	wait(t, time.Second)
	b.wantAll(t, 2, 2, 2)
	return b
}

// wantAll checks the newest version of each raffle in the stream, from raffle 1 on.
func (b *testBundle) wantAll(t *testing.T, want ...int64) {
	t.Helper()
	var got []int64
	for id := range want {
		if versions := b.stream.versions(int64(id) + 1); len(versions) > 0 {
			got = append(got, versions[len(versions)-1])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the stream ends with versions %v, want %v", got, want)
	}
}

// lists returns how often the database was read as a whole.
func (b *testBundle) lists() int {
	b.source.mu.Lock()
	defer b.source.mu.Unlock()
	return b.source.lists
}

func TestReconcile_MakesTheStreamAndFillsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		running(t, nil)
	})
}

func TestReconcile_ReadsAllPages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		const raffles = 2*reconcilePage + 1
		for id := int64(1); id <= raffles; id++ {
			b.source.raffles[id] = version(id, 1)
		}
		b.startOutbox(t, nil)
		synctest.Wait()
		newest, err := b.stream.Newest(t.Context())
		if err != nil || len(newest) != raffles || newest[1].Version != 1 || newest[raffles].Version != 1 {
			t.Errorf("the stream has %d raffles of %d, %v", len(newest), raffles, err)
		}
	})
}

func TestReconcile_PublishesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.source.raffles[1], b.source.raffles[2] = version(1, 7), version(2, 7)
		b.source.published[1], b.source.published[2] = 7, 6
		b.stream.put(t, version(1, 7))
		b.stream.put(t, version(2, 6))
		wait(t, testInterval)
		b.startOutbox(t, nil)
		wait(t, time.Minute)
		if stats := b.stream.counted(); stats.looks != 1 || stats.appends != 1 {
			t.Errorf("%+v", stats)
		}
		b.stream.wantVersions(t, 1, 7)
		b.stream.wantVersions(t, 2, 6, 7)
		if b.bumped.Load() != 0 {
			t.Errorf("%d versions were bumped", b.bumped.Load())
		}
	})
}

func TestReconcile_FillsAStreamThatWasDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, nil)
		b.stream.remove()
		wait(t, 2*checkInterval)
		b.wantAll(t, 2, 2, 2)
	})
}

func TestReconcile_FillsAStreamThatWasMadeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, nil)
		b.stream.remove()
		for range 10 { // it is longer than the one before
			b.stream.put(t, version(4, b.source.raffle(4).Version+int64(len(b.stream.stored(4)))+1))
		}
		wait(t, 2*checkInterval)
		b.wantAll(t, 2, 2, 2)
	})
}

func TestReconcile_FillsAStreamThatLostItsTail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, nil)
		b.source.commit(t.Context(), version(2, 3), false)
		wait(t, time.Second)
		b.wantAll(t, 2, 3, 2)
		b.stream.truncate(1)
		b.wantAll(t, 2, 2, 2)
		wait(t, 2*checkInterval)
		b.wantAll(t, 2, 3, 2)
	})
}

// TestReconcile_NoticesATailThatWasLostDuringTheComparison has a message acknowledged
// after the stream was read, and lost before the comparison ends.
func TestReconcile_NoticesATailThatWasLostDuringTheComparison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reconnected := make(chan struct{}, 1)
		b := running(t, reconnected)
		b.source.onList = func() {
			b.source.onList = nil
			page := b.source.raffle(1)
			b.source.commit(t.Context(), version(1, 3), false)
			wait(t, 2*testInterval)
			b.wantAll(t, 3, 2, 2)
			b.stream.truncate(1)
			b.source.mu.Lock()
			defer b.source.mu.Unlock()
			b.source.raffles[1] = page // as of when the page was read
		}
		reconnected <- struct{}{}
		wait(t, 3*testInterval)
		b.wantAll(t, 2, 2, 2)
		b.source.mu.Lock()
		b.source.raffles[1] = version(1, 3)
		b.source.mu.Unlock()
		wait(t, 2*checkInterval)
		b.wantAll(t, 3, 2, 2)
	})
}

func TestReconcile_ComparesAfterAReconnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reconnected := make(chan struct{}, 1)
		b := running(t, reconnected)
		before := b.lists()
		wait(t, time.Minute)
		if n := b.lists(); n != before {
			t.Errorf("%d comparisons without a cause", n-before)
		}
		reconnected <- struct{}{}
		synctest.Wait()
		if n := b.lists(); n != before+1 {
			t.Errorf("%d comparisons after a reconnection", n-before)
		}
	})
}

func TestReconcile_ComparesNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, nil)
		// A difference that no sign of drift tells of.
		b.source.mu.Lock()
		b.source.raffles[1], b.source.published[1] = version(1, 3), 3
		b.source.mu.Unlock()
		wait(t, reconcileInterval-2*time.Second)
		b.wantAll(t, 2, 2, 2)
		wait(t, 2*time.Second)
		b.wantAll(t, 3, 2, 2)
	})
}

func TestReconcile_RepeatsAComparisonThatFailsLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reconnected := make(chan struct{}, 1)
		b := running(t, reconnected)
		// A difference that no sign of drift tells of.
		b.source.mu.Lock()
		b.source.raffles[1], b.source.published[1] = version(1, 3), 3
		b.source.mu.Unlock()
		b.source.fail(errors.New("the database is unavailable"))
		reconnected <- struct{}{}
		wait(t, 10*time.Second)
		b.wantAll(t, 2, 2, 2)
		b.source.fail(nil)
		wait(t, checkInterval)
		b.wantAll(t, 3, 2, 2)
	})
}

func TestReconcile_RepeatsAComparisonThatFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(*testBundle, error){
		"stream":   func(b *testBundle, err error) { b.stream.fail(err) },
		"database": func(b *testBundle, err error) { b.source.fail(err) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := setup(t, testInterval)
				b.source.raffles[1], b.source.published[1] = version(1, 2), 2
				b.source.raffles[2], b.source.published[2] = version(2, 2), 2
				b.stream.put(t, version(2, 5))
				fail(b, errors.New("unavailable"))
				b.startOutbox(t, nil)
				wait(t, 10*time.Second)
				b.stream.wantVersions(t, 1)
				fail(b, nil)
				wait(t, checkInterval+2*retryDelay)
				b.stream.wantVersions(t, 1, 2)
				b.stream.wantVersions(t, 2, 5, 6)
			})
		})
	}
}

func TestReconcile_RepublishesWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	q := NewQueue(0)
	q.Enqueue(t.Context(), version(1, 5))
	s, _, _ := q.next()
	q.republish(version(1, 5)) // while it is in flight: that is enough
	q.done(s, Message{Seq: 7, Epoch: "e", Version: 5})
	if none, _, _ := q.next(); none != nil {
		t.Error("a version in flight was published again")
	}
	q.republish(version(1, 5))
	if s, m, after := q.next(); s == nil || m.raffle.Version != 5 || after != 0 {
		t.Errorf("republished %v behind %d", m, after)
	}
}

func TestReconcile_NoticesMessagesThatWereDeleted(t *testing.T) {
	t.Parallel()
	for name, raffleID := range map[string]int64{"all": 0, "of one raffle": 2} {
		for when, pause := range map[string]time.Duration{"right after they were stored": 0, "later": time.Minute} {
			t.Run(name+" "+when, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := setup(t, testInterval)
					for id := int64(1); id <= 3; id++ {
						b.source.raffles[id] = version(id, 2)
					}
					b.startOutbox(t, nil)
					wait(t, fillInterval+pause)
					b.wantAll(t, 2, 2, 2)
					b.stream.purge(raffleID)
					b.stream.wantVersions(t, 2)
					for len(b.stream.versions(2)) == 0 {
						wait(t, time.Millisecond)
					}
					wait(t, fillInterval)
					b.stream.purge(raffleID) // again, right after it was filled
					wait(t, 2*time.Second)
					b.wantAll(t, 2, 2, 2)
					lists := b.lists()
					wait(t, time.Minute)
					if n := b.lists(); n != lists {
						t.Errorf("%d comparisons more", n-lists)
					}
				})
			})
		}
	}
}

func TestReconcile_MarksTheStreamOnceItIsFilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		b.stream.latency = 20 * time.Millisecond
		for id := int64(1); id <= 2*workers; id++ {
			b.source.raffles[id] = version(id, 1)
		}
		b.startOutbox(t, nil)
		for {
			wait(t, time.Millisecond)
			state, err := b.stream.State(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if state.Reconciled {
				if state.Subjects != 2*workers {
					t.Errorf("marked with %d raffles", state.Subjects)
				}
				return
			}
			if state.Subjects == 2*workers && state.Created.Add(time.Second).Before(time.Now()) {
				t.Fatal("it is not marked")
			}
		}
	})
}

func TestReconcile_PublishesNothingIntoAForeignStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, testInterval)
		theirs := version(1, 5)
		theirs.Epoch = "theirs"
		b.stream.put(t, theirs)
		b.stream.put(t, version(2, 5))
		b.stream.owner = "another"
		b.source.raffles[1] = version(1, 2)
		b.startOutbox(t, nil)
		b.source.commit(t.Context(), version(1, 3), false)
		wait(t, time.Hour)
		b.stream.wantVersions(t, 1, 5)
		b.stream.wantVersions(t, 2, 5)
		b.stream.remove() // by the operator
		wait(t, 3*time.Second)
		b.stream.wantVersions(t, 1, 3)
	})
}
