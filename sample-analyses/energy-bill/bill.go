package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"time"
)

// A device record with the energy that a meter counted since the last one.
type record struct {
	Variable string    `json:"variable"`
	Value    *float64  `json:"value"`
	Unit     string    `json:"unit"`
	Time     time.Time `json:"time"`
}

// What each meter used, by day and by night, and what that costs.
type bill struct {
	tariffs *tariffs
	meters  map[string]*usage
}

type usage struct {
	day, night, cost float64
}

func newBill(tariffs *tariffs) *bill {
	return &bill{tariffs, make(map[string]*usage)}
}

// Adds a device record; an error says why it is not usable.
func (b *bill) add(raw json.RawMessage) error {
	var record record
	if err := json.Unmarshal(raw, &record); err != nil {
		return errors.New("it is not a record with a variable, a number and a time")
	}
	if record.Variable == "" || record.Value == nil || record.Time.IsZero() {
		return errors.New("it lacks a variable, a value or a time")
	}
	kilowattHours := *record.Value
	switch record.Unit {
	case "kWh":
	case "Wh":
		kilowattHours /= 1000
	default:
		return fmt.Errorf("its unit is %q, not kWh or Wh", record.Unit)
	}
	if kilowattHours < 0 {
		return errors.New("a meter does not count backwards")
	}
	meter := b.meters[record.Variable]
	if meter == nil {
		meter = new(usage)
		b.meters[record.Variable] = meter
	}
	price, day := b.tariffs.at(record.Time)
	if day {
		meter.day += kilowattHours
	} else {
		meter.night += kilowattHours
	}
	meter.cost += kilowattHours * price
	return nil
}

// A line for each meter and one for the sum, or none where there is no meter.
func (b *bill) lines() []string {
	names := make([]string, 0, len(b.meters))
	for name := range b.meters {
		names = append(names, name)
	}
	sort.Strings(names)
	var lines []string
	total := 0.0
	for _, name := range names {
		meter := b.meters[name]
		total += meter.cost
		lines = append(lines, fmt.Sprintf("%s: %.2f kWh by day, %.2f kWh by night, %.2f %s",
			name, meter.day, meter.night, meter.cost, b.tariffs.Currency))
	}
	if len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("total: %.2f %s", total, b.tariffs.Currency))
	}
	return lines
}
