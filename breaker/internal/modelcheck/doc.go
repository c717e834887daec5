// Package modelcheck checks package breaker against a model.
package modelcheck
