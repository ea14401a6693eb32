package state

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/grigri/grigri/provider"
)

// EnrolmentToken is the one-time token of the machine. It comes from the key, so that a leader that goes on with the start of a
// machine gives it the same one.
func (k Key) EnrolmentToken(m ModelID, id MachineID) string {
	h := hmac.New(sha256.New, k)
	h.Write([]byte("grigri enrolment\x00" + string(m) + "\x00" + string(id)))
	return hex.EncodeToString(h.Sum(nil))[:40]
}

// HashToken is the token as an Enrolment keeps it.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// EnrolmentLasts is how long a machine may take from its start to its enrolment.
const EnrolmentLasts = 24 * time.Hour

// OpenEnrolment lets the machine enrol. One that has enrolled keeps its key.
func OpenEnrolment(ctx context.Context, r Reader, m ModelID, key Key, id MachineID, now time.Time) (Txn, Enrolment, error) {
	var t Txn
	rec, err := ReadIf[Enrolment](ctx, r, m.EnrolPath(id))
	if err != nil {
		return t, Enrolment{}, fmt.Errorf("let machine %s enrol: %w", id, err)
	}
	e := rec.Value
	if rec.Exists() && now.Add(EnrolmentLasts/2).Before(e.Expires) {
		return t, e, nil
	}
	e.TokenHash, e.Expires = HashToken(key.EnrolmentToken(m, id)), now.Add(EnrolmentLasts)
	Put(&t, m.EnrolPath(id), rec, e)
	return t, e, nil
}

// SetInstance says what the provider has made of the machine, and forgets earlier failures.
func SetInstance(ctx context.Context, r Reader, m ModelID, id MachineID, in provider.Instance, now time.Time) (Txn, error) {
	return editInstance(ctx, r, m, id, func(i *Instance) {
		was := *i
		*i = Instance{Instance: in, Since: now}
		if in.ID == was.ID {
			i.Restarts, i.Restarted = was.Restarts, was.Restarted
		}
	})
}

// LoseInstance says that the provider has the machine's instance no more.
func LoseInstance(ctx context.Context, r Reader, m ModelID, id MachineID, now time.Time) (Txn, error) {
	return editInstance(ctx, r, m, id, func(i *Instance) {
		i.State, i.Message, i.Since = provider.Gone, "the instance is gone", now
	})
}

// FailInstance says that the provider has refused once more, and when to ask again.
func FailInstance(ctx context.Context, r Reader, m ModelID, id MachineID, why string, now, retry time.Time) (Txn, error) {
	return editInstance(ctx, r, m, id, func(i *Instance) {
		i.Failures++
		i.Error, i.Retry, i.Since = why, retry, now
	})
}

func editInstance(ctx context.Context, r Reader, m ModelID, id MachineID, change func(*Instance)) (Txn, error) {
	var t Txn
	if _, err := r.Get(ctx, m.MachinePath(id)); err != nil {
		return t, missing(err, "machine", string(id))
	}
	rec, err := ReadIf[Instance](ctx, r, m.InstancePath(id))
	if err != nil {
		return t, fmt.Errorf("note the instance of machine %s: %w", id, err)
	}
	i := rec.Value
	change(&i)
	Put(&t, m.InstancePath(id), rec, i)
	return t, nil
}

// RetryProvisioning has the provider asked again, without waiting, for the machines that it has refused or that have stopped. Of those named each must be one;
// of all, those that are one.
func RetryProvisioning(ctx context.Context, r Reader, m ModelID, by By, ids []MachineID, all bool) (Txn, []MachineID, error) {
	var t Txn
	if all {
		var err error
		if ids, err = MachinesOf(ctx, r, m); err != nil {
			return t, nil, err
		}
	}
	again := []MachineID{}
	for _, id := range ids {
		machine, err := ReadIf[Machine](ctx, r, m.MachinePath(id))
		if err != nil {
			return Txn{}, nil, fmt.Errorf("retry the provisioning of machine %s: %w", id, err)
		}
		rec, err := ReadIf[Instance](ctx, r, m.InstancePath(id))
		if err != nil {
			return Txn{}, nil, fmt.Errorf("retry the provisioning of machine %s: %w", id, err)
		}
		stopped, err := retryRestart(ctx, r, m, id, &rec.Value)
		if err != nil && !all {
			return Txn{}, nil, err
		}
		failed := err == nil && (stopped || rec.Value.ID == "" && rec.Value.Error != "")
		switch {
		case all && (!machine.Exists() || !failed):
			continue
		case !machine.Exists():
			return Txn{}, nil, &NotFoundError{"machine", string(id)}
		case !failed:
			return Txn{}, nil, refused("machine %s is not in a provisioning error", id)
		}
		rec.Value.Retry = time.Time{}
		t.Set(rec.Path, rec.Value, rec.Version)
		if err := tryContainer(ctx, r, &t, m, id); err != nil {
			return Txn{}, nil, fmt.Errorf("retry the provisioning of machine %s: %w", id, err)
		}
		t.Tell(m, TicketMachine, string(id))
		again = append(again, id)
	}
	if len(again) > 0 {
		by.record(&t, m, "retry-provisioning", keys(again))
	}
	return t, again, nil
}
