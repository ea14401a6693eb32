// Package e2e tests whole environments of the real programs: what no one may reach in a busy one, what survives when any of its
// processes is killed at any moment, and whom a change wakes. It has nothing but tests.
package e2e
