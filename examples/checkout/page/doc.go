// Package page is a page in the browser that shows the shop of the checkout example
// while it works: one URL, no JavaScript but its own, nothing from elsewhere.
//
// # Model
//
// A [Page] shows the [View] of a [Source]. The server renders all of it. The page is
// made of pieces, each an element with an ID, and a stream of server-sent events
// brings those that have changed since what this client got last. A message is made
// when it can be sent, of the view of that moment: a client that reads slowly
// misses pictures, and nothing waits for it. The buttons are pieces of their own, so
// that none is exchanged under a finger.
//
// Without JavaScript it is a picture of the moment it was loaded, with buttons that
// work.
//
// # Guarantees
//
//   - Between two messages to a client there is at least [Config].Every.
//   - A stream ends when its client leaves, when the client takes nothing for ten
//     seconds, and with [Page.Close], which waits for that. New starts nothing.
//   - Who asks by another host than loopback or [Config].Hosts is refused, so that no
//     foreign name that resolves to this machine gets at the page. Any port is fine.
//   - A button works from the page alone: a POST from another origin is refused. One
//     that tells no origin is no browser's, and is accepted.
//   - Names are shown as text, without what cannot be seen, and cut where they are too
//     long to be read.
//   - The browser is told to run and load nothing but what the page brings with it, and
//     to show it in no frame.
//
// Nobody has to log in: the page is for a listener on loopback.
//
// # Paths
//
// GET / is the page, GET /events the stream, POST /inject does what a button says:
// with fault and instance as a form has them. Links are relative, so a page may be
// anywhere below http.StripPrefix.
package page
