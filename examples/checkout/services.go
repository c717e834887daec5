package main

import "fmt"

// A resource is what a service makes of an order.
type resource string

const (
	reservations resource = "reservations"
	charges      resource = "charges"
	labels       resource = "labels"
	invoices     resource = "invoices"
	parcels      resource = "parcels"
	pickings     resource = "pickings"
)

// A service is a name that can be called, with a database and some instances.
type service struct {
	name      string
	instances int
	resources []resource
}

// services are those that steps of the saga call. The order service, which executes
// the saga, is in office.go.
var services = []service{
	{"stock", 1, []resource{reservations, pickings}},
	{"payment", 3, []resource{charges, invoices}},
	{"shipping", 2, []resource{labels, parcels}},
}

// office is the name of the order service.
const office = "orders"

func instanceID(service string, n int) string { return fmt.Sprintf("%s-%d", service, n) }

// home is the service that has a resource.
func home(r resource) string {
	for _, s := range services {
		for _, has := range s.resources {
			if has == r {
				return s.name
			}
		}
	}
	return ""
}

// effect is what a resource does for an order: goods go from the shelf to the
// customer by way of a reservation, money from the customer to the shop, and paper
// from the pile to the customer.
func effect(o Order, r resource) transfer {
	goods, money, paper := "stock of "+o.Item, "money", string(r)
	switch r {
	case reservations:
		return transfer{account{goods, "shelf"}, account{goods, "reserved"}, o.Quantity}
	case pickings:
		return transfer{account{goods, "reserved"}, account{goods, "customers"}, o.Quantity}
	case charges:
		return transfer{account{money, "customer " + o.Customer}, account{money, "shop"}, o.Cents}
	default:
		return transfer{account{paper, "blank"}, account{paper, "issued"}, 1}
	}
}

// provide fills the accounts from which the effects of an order are taken.
func provide(databases map[string]*database, o Order) {
	for _, s := range services {
		for _, r := range s.resources {
			if t := effect(o, r); r != pickings { // they take what was reserved
				databases[s.name].deposit(t.from, t.amount)
			}
		}
	}
}
