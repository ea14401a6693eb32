// Package checklist holds docs/reference/hook-contract.md to the tests that it names. It has nothing but a test.
package checklist
