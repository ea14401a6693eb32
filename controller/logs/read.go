package logs

import (
	"context"
	"errors"

	"github.com/grigri/grigri/internal/agentapi"
	"github.com/grigri/grigri/internal/userapi"
	"github.com/grigri/grigri/state"
)

// errEnough ends a scan.
var errEnough = errors.New("enough")

// Read calls line for each line of the model's log that f chooses, the oldest first. With Follow it goes on until ctx ends.
// It returns nil when there is no more to come, and the error of line when that gives one.
func (s *Store) Read(ctx context.Context, m state.ModelID, f userapi.LogFilter, line func(agentapi.LogLine) error) error {
	l, _, err := s.log(m)
	if err != nil {
		return err
	}
	sent := 0
	send := func(x agentapi.LogLine) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := line(x); err != nil {
			return err
		}
		if sent++; f.Limit > 0 && sent >= f.Limit {
			return errEnough
		}
		return nil
	}
	at, err := l.begin(f, send)
	for err == nil && f.Follow {
		news := l.news()
		if at, err = l.advance(at, f, send); err != nil {
			break
		}
		select {
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		return nil
	}
	return err
}

// A place is how far a reader has come.
type place struct {
	number int
	offset int64
}

// begin sends what there is, and returns the place after it.
func (l *log) begin(f userapi.LogFilter, send func(agentapi.LogLine) error) (place, error) {
	numbers, err := l.numbers()
	if err != nil || len(numbers) == 0 {
		return place{}, err
	}
	if f.Last == 0 {
		return l.advance(place{number: numbers[0]}, f, send)
	}
	var found [][]agentapi.LogLine // of each file, the newest file first
	at := place{number: numbers[len(numbers)-1]}
	count := 0
	for i := len(numbers) - 1; i >= 0 && (count < f.Last || i == len(numbers)-1); i-- {
		var lines []agentapi.LogLine
		end, err := l.scan(numbers[i], 0, func(x agentapi.LogLine) error {
			if f.Last > 0 && Match(f, x) {
				if lines = append(lines, x); len(lines) > 2*f.Last {
					lines = append(lines[:0], lines[len(lines)-f.Last:]...)
				}
			}
			return nil
		})
		if err != nil {
			return at, err
		}
		if numbers[i] == at.number {
			at.offset = end
		}
		found = append(found, lines)
		count += len(lines)
	}
	skip := max(0, count-max(0, f.Last))
	for i := len(found) - 1; i >= 0; i-- {
		for _, x := range found[i] {
			if skip > 0 {
				skip--
				continue
			}
			if err := send(x); err != nil {
				return at, err
			}
		}
	}
	return at, nil
}

// advance sends what has come after at, and returns the place after that.
func (l *log) advance(at place, f userapi.LogFilter, send func(agentapi.LogLine) error) (place, error) {
	numbers, err := l.numbers()
	if err != nil {
		return at, err
	}
	for _, n := range numbers {
		if n < at.number {
			continue
		}
		if n > at.number {
			at = place{number: n}
		}
		at.offset, err = l.scan(n, at.offset, func(x agentapi.LogLine) error {
			if Match(f, x) {
				return send(x)
			}
			return nil
		})
		if err != nil {
			return at, err
		}
	}
	return at, nil
}
