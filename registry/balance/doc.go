// Package balance chooses, for every call, one endpoint of a service that
// package registry knows.
package balance
