package page

import "time"

// A Source is what the page shows and where its buttons lead to. Its methods may be
// called by any number of goroutines.
type Source interface {
	// View is what there is to be seen now. The page keeps it and does not change it.
	View() View
	// Inject does something to the instance with that ID. The error is shown.
	Inject(fault Fault, instance string) error
}

// A Fault is what a button does to an instance.
type Fault string

// The faults there are, and the way back.
const (
	Kill  Fault = "kill"  // it dies without a word; after some seconds it is started again
	Slow  Fault = "slow"  // it takes longer than anybody waits
	Storm Fault = "storm" // it answers 503, with Retry-After
	Heal  Fault = "heal"  // it is as it was, now
)

// Faults are all of them, in the order of the buttons.
var faults = []Fault{Kill, Slow, Storm, Heal}

// A View is one picture of the shop. Names in it may come from users.
type View struct {
	Elapsed  time.Duration // since the start
	Note     string        // what goes on: the fault of the script, a restart; "" if nothing does
	Orders   Orders
	Services []Service // with their instances, always in the same order
	Runs     []Run     // unfinished ones, those that are stuck first, then the oldest; not more than the source wants shown
	Topics   []Topic
	Queues   []Queue
	Log      []Line // the latest last
}

// Orders are how many orders there are, by what has become of them.
type Orders struct {
	Placed, Running, Completed, Compensated, Stuck int
}

// A Service is a name that can be called.
type Service struct {
	Name      string
	Instances []Instance // those that were ever started
}

// An Instance is one server.
type Instance struct {
	ID       string
	Addr     string
	Health   string  // in the words of registry.Health, or "gone": it is not registered
	Fault    Fault   // what is wrong with it on purpose; "" or Heal: nothing
	Breaker  string  // the state of its breaker, in the words of breaker.State; "" if it has none
	Share    float64 // of the service's calls in the last seconds, 0 to 1
	InFlight int     // calls
	Calls    uint64  // so far
	// Timeline is what its breaker was, the oldest first. The spans follow each other;
	// the last one lasts.
	Timeline []Span
	// Faults are the buttons that make sense.
	Faults []Fault
}

// A Span is a time in which a breaker was in one state.
type Span struct {
	State string        // as that of Instance
	From  time.Duration // since the start, as Elapsed
}

// A Run is one execution of the saga.
type Run struct {
	ID     string
	Order  string        // what is ordered, in words
	Status string        // in the words of saga.Status
	Age    time.Duration // since it was started
	Steps  []Step        // in the order of the definition
}

// A Step is one step of a run. Those of a group follow each other.
type Step struct {
	Name     string
	Group    string    // of steps at the same time; "" if it is in none
	State    StepState // what has become of it
	Attempts int       // of Do, and of Undo when it is undone
	Err      string    // of the last attempt that failed
}

// A StepState is what has become of a step.
type StepState string

// The states of a step.
const (
	Pending  StepState = "pending"  // not begun
	Active   StepState = "active"   // an attempt is under way
	Retrying StepState = "retrying" // an attempt failed, the next one is to come
	Done     StepState = "done"
	Failed   StepState = "failed"  // for good
	Undoing  StepState = "undoing" // its compensation is under way
	Undone   StepState = "undone"
)

// A Topic is one of the bus.
type Topic struct {
	Name      string
	Published uint64
}

// A Queue is what waits for one subscription.
type Queue struct {
	Name     string
	Topic    string // or the pattern
	Waiting  int    // events
	Capacity int    // 0: it has none
	Handled  uint64
	Dropped  uint64
	Failed   uint64
}

// A Line is one of the log.
type Line struct {
	At   time.Duration // since the start
	Text string
	Bad  bool // it tells of a failure
}
