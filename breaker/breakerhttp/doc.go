// Package breakerhttp puts the circuit breakers of package breaker into HTTP
// clients and servers.
//
// # Quick start
//
//	// One for the whole program: it keeps the breakers.
//	var client = &http.Client{
//		Transport: breakerhttp.MustNewTransport(breakerhttp.TransportConfig{TrustEarlyClose: true}),
//		Timeout:   5 * time.Second, // without a deadline a server that hangs is never found out
//	}
//
//	func get(url string) ([]byte, error) {
//		resp, err := client.Get(url)
//		if err != nil {
//			return nil, err // if it is breaker.ErrRejected, nothing was sent
//		}
//		defer resp.Body.Close()
//		return io.ReadAll(resp.Body)
//	}
//
// # Model
//
// [Transport] is an [http.RoundTripper] in front of another. It has a breaker
// per host, or per whatever [TransportConfig] says, and every round trip is a
// call of the breaker of its request: also each redirect that a client follows
// and each attempt of a retry loop above. A call begins before the connection
// is made and ends with the response's Body, so the time to read that counts
// for a SlowRate rule, and a server that breaks off in the middle fails.
//
// Read bodies to their end, or set [TransportConfig.TrustEarlyClose]. A Close
// before the end is Ignored by default. So the good calls of a client that only
// looks at the status, or that reads by a json.Decoder, neither end a row of
// failures nor count in a rate, and a half-open breaker never closes. It is also
// what http.Client does to a redirect with a body of more than 2 KB.
//
// [Middleware] puts one breaker in front of an [http.Handler], which sheds load
// from a server in trouble. The handler's status is the outcome. Put it outside
// of an http.TimeoutHandler, whose 503 is a failure to it.
//
// A rejection travels from the one to the other: a handler that gets one from
// its client passes it on with [WriteRejection], and the Transport of a client
// further out opens for the time that the 503 asks for.
//
// # Guarantees
//
//   - G42: When a request is rejected, or its context is done, its Body is
//     closed, Base is not called, and the error is the *breaker.RejectedError,
//     or the cause. Requests are never changed, bodies never buffered. Errors of
//     Base are judged by the breaker's Config.Classify, which is
//     breaker.DefaultClassify unless set, or by TransportConfig.Classify. A request
//     that net/http does not send to anybody, because its method or a header field
//     is malformed, is Ignored unless TransportConfig.Classify says something else.
//   - G43: A response judged Failure or Ignored is reported when its header
//     arrives. Else the Body decides: its end, or all of Content-Length read, is
//     Success; a read error is a Failure, after the caller's cancel Ignored;
//     Close before the end is Ignored, or Success with TrustEarlyClose. A
//     response without a body is reported at once. A Read that delivers data
//     calls Progress. Read and Close may run concurrently. A response 101, or
//     another whose Body is an io.Writer too, is reported at once and its Body
//     untouched.
//   - G44: A Failure with 429 or 503 and a Retry-After, in seconds or as an HTTP
//     date against Group.Config.Clock (system time with Choose), opens for that
//     time, at most for MaxRetryAfter, and rejections carry what is left. Zero,
//     past, negative or malformed values are a plain failure.
//   - G45: Behind Middleware, http.Flusher, http.Hijacker, io.ReaderFrom and
//     http.ResponseController work as without it. A connection is reported when
//     it is hijacked, and a Write calls Progress. A client that went away is
//     Ignored, panic or not; so is a 503 that WriteRejection wrote inside. The
//     Retry-After of a rejection is in whole seconds, rounded up, at least 1, and
//     absent without an estimate. The Cause is never sent to the client.
//
// A panic in Base, Key, Choose, Classify or a handler, and runtime.Goexit, goes
// on to whoever called. If a call had begun, it is a failure. A Body that is
// neither read to its end nor closed leaks a connection, but in the breaker it
// costs nothing while closed and is covered by its lease while half-open.
//
// # Time
//
// A date in a Retry-After is taken against the Clock of the group, and all else
// that takes time is up to package breaker. Deadlines belong to the request's
// context: without one, or http.Client.Timeout, a server that hangs is never
// found out. Such a deadline is a failure, the caller's own cancel is not.
//
// # Errors
//
// A rejection matches breaker.ErrRejected also through the *url.Error of
// http.Client, and a *[StatusError] is the Cause of an opening that a status
// brought about. What Base returns is returned unchanged.
//
// # Testing
//
// TransportConfig.Base may be any http.RoundTripper, and Group.Config.Clock a
// fake: a test needs neither network nor sleep. Real sockets do not go into a
// testing/synctest bubble, net.Pipe does.
//
// # Cost
//
// A guarded round trip costs one allocation, the wrapper of the Body, and well
// below a microsecond: see BenchmarkTransport and BenchmarkTransportRejected.
// Behind Middleware a request costs two at most: see BenchmarkMiddleware.
package breakerhttp
