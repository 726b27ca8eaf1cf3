package drawer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/draw/publish"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// rootCache remembers the roots of the complete pages of logs, which never change, so
// that a proof reads two pages and not a whole log. It is safe for concurrent use; one
// log is read at a time.
type rootCache struct {
	store Store

	mu   sync.Mutex
	logs map[logKey][]draw.Hash
}

type logKey struct{ epoch, origin string }

// maxLogs bounds how many logs are remembered. Beyond it all are forgotten. A log of ten
// million records takes 80 KB.
const maxLogs = 1000

// prove returns a record of a raffle's log, and the proof that it is in the log as it is
// now.
func (c *rootCache) prove(ctx context.Context, r *raffle.Raffle, index int64) (record []byte, proof []draw.Hash, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	size := r.Log.Tree.Size
	roots, err := c.pages(ctx, r, size/logfile.PageSize)
	if err != nil {
		return nil, nil, err
	}
	leaves, err := c.leaves(ctx, r.ID, index/logfile.PageSize, size)
	if err != nil {
		return nil, nil, err
	}
	record, err = c.record(ctx, r.ID, index)
	if err != nil {
		return nil, nil, err
	}
	proof, err = publish.Prove(index, size, func(lo, hi int64) (draw.Hash, error) {
		if lo/logfile.PageSize == index/logfile.PageSize && hi-lo <= logfile.PageSize {
			first := index / logfile.PageSize * logfile.PageSize
			return publish.Root(leaves[lo-first : hi-first]), nil
		}
		hashes := slices.Clone(roots[lo/logfile.PageSize : min(hi/logfile.PageSize, int64(len(roots)))])
		if hi%logfile.PageSize != 0 {
			last, err := c.leaves(ctx, r.ID, hi/logfile.PageSize, size)
			if err != nil {
				return draw.Hash{}, err
			}
			hashes = append(hashes, publish.Root(last))
		}
		return publish.Root(hashes), nil
	})
	return record, proof, err
}

// pages returns the roots of the first n pages of a log.
func (c *rootCache) pages(ctx context.Context, r *raffle.Raffle, n int64) ([]draw.Hash, error) {
	key := logKey{r.Epoch, r.Log.Origin}
	roots := c.logs[key]
	if int64(len(roots)) >= n {
		return roots[:n], nil
	}
	var page draw.Tree
	err := c.store.ReadLog(ctx, r.ID, int64(len(roots))*logfile.PageSize, func(index int64, record []byte) error {
		if index >= n*logfile.PageSize {
			return errEnough
		}
		page.Append(draw.LeafHash(record))
		if page.Size == logfile.PageSize {
			roots = append(roots, page.Root())
			page = draw.Tree{}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if int64(len(roots)) < n {
		return nil, fmt.Errorf("the log of raffle %d ends before its record %d", r.ID, n*logfile.PageSize-1)
	}
	if c.logs == nil || len(c.logs) >= maxLogs {
		c.logs = make(map[logKey][]draw.Hash)
	}
	c.logs[key] = roots
	return roots, nil
}

// leaves returns the hashes of the records of a page, up to the size of the log.
func (c *rootCache) leaves(ctx context.Context, raffleID, page, size int64) ([]draw.Hash, error) {
	var leaves []draw.Hash
	first := page * logfile.PageSize
	err := readPage(ctx, c.store, raffleID, first, func(record []byte) {
		if first+int64(len(leaves)) < size {
			leaves = append(leaves, draw.LeafHash(record))
		}
	})
	if want := min(logfile.PageSize, size-first); err == nil && int64(len(leaves)) < want {
		err = fmt.Errorf("the log of raffle %d ends before its record %d", raffleID, first+want-1)
	}
	return leaves, err
}

func (c *rootCache) record(ctx context.Context, raffleID, index int64) (found []byte, err error) {
	err = c.store.ReadLog(ctx, raffleID, index, func(_ int64, record []byte) error {
		found = slices.Clone(record)
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("the log of raffle %d has no record %d", raffleID, index)
	}
	return found, err
}
