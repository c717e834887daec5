// Package registry knows, inside a process, which instances of which services
// there are: registered under leases, watched without missing the final state,
// and checked for health.
package registry
