package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/grigri/grigri/controller/archive"
	"github.com/grigri/grigri/internal/userapi"
)

// uploadPlugin keeps the program of a provider. It is run once a cloud asks for it by its hash, and goes when for an hour none does.
func uploadPlugin(_ context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	if !isHash(hash) {
		return nil, invalid(fmt.Sprintf("%q is not a SHA-256 in hex", hash))
	}
	s.Log.Info("a plugin is uploaded", "hash", hash, "user", q.user.Name)
	err := s.Plugins.PutProgram(hash, steady{q}, userapi.MaxPlugin)
	if errors.Is(err, archive.ErrFull) {
		return nil, fmt.Errorf("upload a plugin: free some space under the controller's data directory and try again: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("upload a plugin: %w", err)
	}
	return nil, nil
}

// showPlugin says whether the plugin is here.
func showPlugin(_ context.Context, s *Server, q *request) (any, error) {
	hash := q.PathValue("hash")
	_, err := s.Plugins.Program(hash)
	if errors.Is(err, archive.ErrNotFound) {
		return nil, notFound("plugin", hash)
	}
	return nil, err
}
