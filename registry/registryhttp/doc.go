// Package registryhttp sends HTTP requests to services by name.
package registryhttp
