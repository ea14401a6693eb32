package state

import (
	"errors"
	"fmt"
)

// A NotFoundError says that there is no thing of this name. Its text is for the user.
type NotFoundError struct{ Kind, Name string }

func (e *NotFoundError) Error() string { return fmt.Sprintf("%s %q not found", e.Kind, e.Name) }

// An ExistsError says that the name is taken. Its text is for the user.
type ExistsError struct {
	Kind, Name string
	Text       string // instead of the usual
}

func (e *ExistsError) Error() string {
	if e.Text != "" {
		return e.Text
	}
	return fmt.Sprintf("%s %q already exists", e.Kind, e.Name)
}

// An InvalidError says that what the user gave can never be right.
type InvalidError struct{ Text string }

func (e *InvalidError) Error() string { return e.Text }

// A RefusedError says that what the user wants cannot be done as things are.
type RefusedError struct{ Text string }

func (e *RefusedError) Error() string { return e.Text }

func invalid(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }
func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// missing turns ErrNotFound into a NotFoundError and leaves other errors as they are.
func missing(err error, kind, name string) error {
	if errors.Is(err, ErrNotFound) {
		return &NotFoundError{kind, name}
	}
	return err
}
