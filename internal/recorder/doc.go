// Package recorder tests what a charm is given, whole: a charm that writes down each of its invocations, in the three forms that charms
// have had, lives through everything that happens to one on machines of the local provider. It has nothing but tests.
package recorder
