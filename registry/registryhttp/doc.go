// Package registryhttp sends HTTP requests to services by name, checks instances
// over HTTP and TCP, and answers the health checks of others.
//
// # Quick start
//
//	// One for the whole program: it knows how the instances do.
//	client := &http.Client{
//		Transport: registryhttp.MustNewTransport(reg, registryhttp.TransportConfig{}),
//	}
//	resp, err := client.Get("http://orders/42") // an instance of the service "orders"
//	if err != nil {
//		return err // if it is balance.ErrNoInstances, nothing was sent
//	}
//	defer resp.Body.Close()
//
// # Model
//
// [Transport] is an http.RoundTripper in front of another. A host without a port
// or a dot is the name of a service; everything else goes to Base untouched. Each
// service has a balancer of package balance, which chooses an instance for every
// attempt, ejects those that fail, and has the budget for retries. The use of an
// instance begins before the request is sent and ends with the response's Body,
// so close bodies.
//
// What a status means to the balancer is told at [StatusError]; callers get
// responses as they came, also of status 503 when there is no attempt left.
//
// A gateway that takes names from URLs should set ServiceOf: by default a host with
// a dot goes to Base, wherever that is. A reverse proxy has to buffer bodies and set
// GetBody if requests with a body are to be tried again.
//
// [HTTPCheck] and [TCPCheck] are functions for registry.Check. [NewHandler] is the
// other side: /healthz and /readyz of this process.
//
// # Guarantees
//
//   - G43: The request is never changed; each attempt has its own copy and a body
//     from GetBody. A request is tried again on another instance if its body can
//     be repeated (there is none, or GetBody) and the method is idempotent, it has
//     an Idempotency-Key, or no connection could be made. One that net/http does not
//     send to anybody, because its method or a header field is malformed, is not, and
//     says nothing about the instance. AttemptTimeout bounds an
//     attempt up to its headers, never a body. The last response is returned as it
//     came; of earlier ones up to 4 KiB are read, for at most 100ms, and then
//     they are closed.
//   - G44: A pick ends at the end of the body, at an error of reading it or at
//     Close, whichever comes first; the latency is the time to the headers. A body
//     that breaks is a failure unless the caller gave up. One that is dropped
//     without Close gives its pick back when it is collected, without an outcome.
//     A response 101 keeps its io.ReadWriteCloser. Nothing is buffered. The
//     request's body is closed on every path.
//   - G45: TLS uses the ServerName of the instance for SNI and for the certificate,
//     also if Addr has an IP. Where this would take another Base than an
//     *http.Transport it is an error. Proxy, HTTP/2 and pooling are those of Base.
//   - G46: /readyz is 503 from the instant a lease drains. Its checks run in real
//     time, and their panics are failures.
//
// A panic in Base, ServiceOf, Key or PerService, and runtime.Goexit, goes on to
// whoever called. If a call had begun it is a failure.
//
// # Time
//
// Latencies and AttemptTimeout are on the clock of the registry. What is about
// connections and checks of readiness is in real time.
//
// # Errors
//
// If no instance could be picked for the first attempt, the error is a
// *balance.Error: balance.ErrNoInstances or registry.ErrClosed. With gates its chain
// holds the last refusal, for example a *breaker.RejectedError. After an attempt
// the error is the one that Base returned for the last of them.
//
// # Testing
//
// TransportConfig.Base may be any http.RoundTripper, so that a test needs no
// network. Instances may also be those of net/http/httptest.
//
// # Cost
//
// A request costs a few allocations and a few microseconds more than Base alone:
// see BenchmarkTransport.
package registryhttp
