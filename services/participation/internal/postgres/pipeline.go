package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// maxPipelined is how many transactions follow one another on a connection. Between them a
	// raffle is free for a moment that is too short for others who wait for its lock.
	maxPipelined = 8
	// maxUnderWay is how many of them wait for their answer at the same time.
	maxUnderWay = 2
)

// lockNext locks a raffle, or fails with the code hasChanged if its row is not the one that
// the transaction before on this connection has written. markWritten is how that one says so,
// and returns the row's time and xmin.
const (
	lockNext    = `SELECT lock_next($1, $2, $3)`
	markWritten = `SELECT set_config('rafflecast.written', $1 || pg_current_xact_id()::xid::text, false), now(), pg_current_xact_id()::xid`
)

// pipelined are the statements of the transactions of a pipeline.
var pipelined = []string{
	impatientSettings, Settings, lockUnchanged, lockNext, selectClock, selectClockAndTicks, insertNewcomers, countOne, countLogged,
	insertRecords, markWritten,
}

// pipelines are those of the raffles that are being entered.
type pipelines struct {
	mu sync.Mutex
	of map[int64]*pipeline
}

// pipeline is a connection on which transactions that enter one raffle are sent without
// waiting for the answer of the one before: each is decided on what that one will have
// written, and fails if it is not so. A transaction has no BEGIN: it ends with its Sync, so
// that one that has failed is rolled back before the next.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
//
// pgx has no pipeline that one goroutine can send to while another one waits for an answer.
// So transactions are encoded here, and written to pgx's connection.
type pipeline struct {
	store      *Store
	conn       *pgxpool.Conn
	statements map[string]*pgconn.StatementDescription
	results    *pgtype.Map // the connection's own is used to send
	broken     atomic.Bool // what comes is not known to be the answer that is due

	users int // transactions under way, or about to be sent; guarded by store.pipelines.mu

	mu       sync.Mutex    // held while a transaction is decided and sent
	count    int           // transactions that were sent
	expected raffle.Raffle // as the last one leaves it
	marker   string        // of the last one
	last     chan struct{} // closed when the answer to the last one was read
}

// sent is a transaction that was sent.
type sent struct {
	*pipeline

	d       raffle.Decision
	queries []*pgx.QueuedQuery
	scan    map[string]func(pgx.Row) error // what takes the row of a statement
	row     writtenRow
	before  <-chan struct{} // closed when its answer is due
	done    chan<- struct{}
	stop    func() bool // of the end of its time
}

// canPipeline reports whether the transactions of a connection can be pipelined: its
// statements are prepared, and are not traced, which pgx would do.
func canPipeline(conn *pgxpool.Conn) bool {
	cfg := conn.Conn().Config()
	return cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && cfg.Tracer == nil
}

// enterFirst enters a batch by the first transaction of a new pipeline, to which the
// connection then belongs.
func (s *Store) enterFirst(ctx context.Context, conn *pgxpool.Conn, reqs []raffle.EnterRequest, row *trustedRow, settings string) (raffle.Decision, error) {
	p := &pipeline{store: s, conn: conn, statements: make(map[string]*pgconn.StatementDescription), results: pgtype.NewMap(), users: 1}
	defer p.leave()
	for _, sql := range pipelined {
		statement, err := conn.Conn().Prepare(ctx, sql, sql)
		if err != nil {
			return raffle.Decision{}, unwritten(s.writePool, err)
		}
		p.statements[sql] = statement
	}
	t, err := p.send(ctx, reqs, row, settings)
	if err != nil {
		return raffle.Decision{}, &unwrittenError{err}
	}
	s.pipelines.add(p)
	if err := t.receive(ctx); err != nil {
		return raffle.Decision{}, distrusted(err)
	}
	return t.d, nil
}

// EnterNext is EnterBatch for requests that follow a batch for the same raffle that is being
// written, without waiting for its answer. It fails with raffle.ErrNotNext if they can't.
// Nothing was placed then.
func (s *Store) EnterNext(ctx context.Context, reqs []raffle.EnterRequest) ([]raffle.EnterResult, error) {
	ids := raffleIDs(reqs)
	if len(ids) != 1 {
		return nil, raffle.ErrNotNext
	}
	p := s.pipelines.join(ids[0])
	if p == nil {
		return nil, raffle.ErrNotNext
	}
	defer p.leave()
	t, err := p.send(ctx, reqs, nil, impatientSettings)
	if err != nil {
		return nil, raffle.ErrNotNext
	}
	err = t.receive(ctx)
	if err == nil {
		s.queue.Enqueue(ctx, t.d.Changed...)
		return t.d.Results, nil
	}
	s.history.forgetRow(ids[0])
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.SeverityUnlocalized != "ERROR" {
		return nil, classify(err)
	}
	if pg.Code == haveEntered {
		s.history.forget(reqs)
	}
	return nil, raffle.ErrNotNext
}

// add lets others follow in a pipeline, unless there is one for its raffle.
func (ps *pipelines) add(p *pipeline) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.of == nil {
		ps.of = make(map[int64]*pipeline)
	}
	if id := p.expected.ID; ps.of[id] == nil {
		ps.of[id] = p
	}
}

// join returns the pipeline of a raffle, or nil if there is none that has room.
func (ps *pipelines) join(raffleID int64) *pipeline {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.of[raffleID]
	if p == nil || p.users >= maxUnderWay {
		return nil
	}
	p.users++
	return p
}

// leave ends the use of a pipeline. The last one to leave it gives its connection back.
func (p *pipeline) leave() {
	ps := &p.store.pipelines
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p.users--
	if p.users > 0 {
		return
	}
	if ps.of[p.expected.ID] == p {
		delete(ps.of, p.expected.ID)
	}
	if p.broken.Load() { // the pool must not keep it
		ended, end := context.WithCancel(context.Background())
		end()
		_ = p.conn.Conn().Close(ended) // without waiting for the server
	}
	p.conn.Release()
}

// errBroken means that an answer before was not read, so that no other one can be.
var errBroken = fmt.Errorf("%w: an answer on this connection was lost", raffle.ErrUnavailable)

// send decides on a batch and sends it. row is the raffle as it is trusted to be; nil: as
// the transaction before leaves it. If send fails, nothing is executed.
func (p *pipeline) send(ctx context.Context, reqs []raffle.EnterRequest, row *trustedRow, settings string) (*sent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var batch pgx.Batch
	batch.Queue(settings)
	if row != nil {
		p.expected = row.raffle
		batch.Queue(lockUnchanged, row.raffle.ID, row.raffle.Version, row.row.at, row.row.xmin)
	} else {
		batch.Queue(lockNext, p.expected.ID, p.expected.Version, p.marker)
	}
	if p.broken.Load() || p.count >= maxPipelined || p.expected.Log != nil && len(untagged(reqs)) > 0 {
		return nil, errChanged
	}
	clock, scanClock := p.store.clock(func(time.Time) {})
	batch.Queue(clock)
	admission := admissionTo(p.expected, len(reqs))
	if admission.HasStaleTags(reqs) {
		return nil, errStaleKey
	}
	t := &sent{pipeline: p, d: admission.Decide(reqs)}
	t.scan = map[string]func(pgx.Row) error{clock: scanClock, markWritten: func(row pgx.Row) error {
		return row.Scan(nil, &t.row.at, &t.row.xmin)
	}}
	for i := range t.d.Results {
		if t.d.Results[i].Err != nil {
			return nil, errMembersUnread
		}
	}
	queueEntries(&batch, t.d.Placed, true)
	queueCounts(&batch, t.d.Changed, func(writtenRow) {})
	marker := rand.Text() + ":"
	batch.Queue(markWritten, marker)
	message, err := p.encode(&batch)
	if err != nil {
		return nil, err
	}
	conn := p.conn.Conn().PgConn().Conn()
	t.stop = context.AfterFunc(ctx, func() { p.broken.Store(true); _ = conn.SetDeadline(time.Unix(1, 0)) })
	if _, err := conn.Write(message); err != nil {
		p.broken.Store(true)
		t.stop()
		return nil, err
	}
	done := make(chan struct{})
	t.queries, t.before, t.done = batch.QueuedQueries, p.last, done
	p.count, p.expected, p.marker, p.last = p.count+1, t.d.Changed[0], marker, done
	return t, nil
}

// encode returns the messages of a transaction.
func (p *pipeline) encode(batch *pgx.Batch) (message []byte, err error) {
	var query pgx.ExtendedQueryBuilder
	for _, queued := range batch.QueuedQueries {
		statement := p.statements[queued.SQL]
		if statement == nil {
			return nil, errChanged // it is more than entries that the raffle needs
		}
		if err := query.Build(p.conn.Conn().TypeMap(), statement, queued.Arguments); err != nil {
			return nil, err
		}
		bind := pgproto3.Bind{
			PreparedStatement: statement.Name, ParameterFormatCodes: query.ParamFormats, Parameters: query.ParamValues,
			ResultFormatCodes: query.ResultFormats,
		}
		if message, err = bind.Encode(message); err != nil {
			return nil, err
		}
		if message, err = (&pgproto3.Execute{}).Encode(message); err != nil {
			return nil, err
		}
	}
	return (&pgproto3.Sync{}).Encode(message)
}

// receive waits for the answer, and notes what was committed. If it fails with another
// error than one of PostgreSQL's that is no worse than an ERROR, it is unknown what has
// become of the transaction.
func (t *sent) receive(ctx context.Context) error {
	defer close(t.done)
	if t.before != nil {
		<-t.before // which ends no later than with the time of its transaction
	}
	err := t.answer()
	if !t.stop() {
		err = errors.Join(err, context.Cause(ctx))
	}
	if err != nil {
		return err
	}
	t.row.id = t.d.Changed[0].ID
	t.d.SetTime(t.row.at)
	t.store.history.observe(&t.d, nil, []writtenRow{t.row})
	return nil
}

// answer reads the answer.
func (t *sent) answer() (failure error) {
	if t.broken.Load() {
		return errBroken
	}
	for queries := t.queries; ; {
		// The time is bounded by the connection's deadline.
		msg, err := t.conn.Conn().PgConn().ReceiveMessage(context.Background())
		if err != nil {
			t.broken.Store(true)
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.DataRow:
			if scan := t.scan[queries[0].SQL]; scan != nil {
				failure = errors.Join(failure, scan(dataRow{t.results, t.statements[queries[0].SQL].Fields, msg.Values}))
			}
		case *pgproto3.CommandComplete:
			queries = queries[1:]
		case *pgproto3.ErrorResponse:
			failure = pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.ReadyForQuery:
			return failure
		}
	}
}

// dataRow is a row that was received. It implements pgx.Row.
type dataRow struct {
	types  *pgtype.Map
	fields []pgconn.FieldDescription
	values [][]byte
}

// Scan implements pgx.Row. A destination that is nil is left out.
func (r dataRow) Scan(to ...any) error {
	for i, to := range to {
		if to == nil {
			continue
		}
		oid := r.fields[i].DataTypeOID
		if err := r.types.Scan(oid, r.types.FormatCodeForOID(oid), r.values[i], to); err != nil {
			return err
		}
	}
	return nil
}
