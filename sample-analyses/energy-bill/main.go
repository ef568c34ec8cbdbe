// Bills the energy of a day by tariffs that are a secret: a high one by day, a low one by night.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"
	_ "time/tzdata"
)

func main() {
	if err := run(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Prints the bill of the scope in `in` to `out`, and what was skipped to `skipped`.
func run(in io.Reader, out, skipped io.Writer, setting func(string) (string, bool)) error {
	tariffs, err := readTariffs(setting)
	if err != nil {
		return err
	}
	var records []json.RawMessage
	if err := json.NewDecoder(in).Decode(&records); err != nil {
		return fmt.Errorf("the scope is not a list of device records: %w", err)
	}
	bill := newBill(tariffs)
	for i, raw := range records {
		if err := bill.add(raw); err != nil {
			fmt.Fprintf(skipped, "record %d skipped: %v\n", i+1, err)
		}
	}
	lines := bill.lines()
	if len(lines) == 0 {
		return fmt.Errorf("no usable record in the scope")
	}
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	return nil
}

// What a kilowatt hour costs, and when.
type tariffs struct {
	Currency  string  `json:"currency"`
	Day       float64 `json:"day"`
	Night     float64 `json:"night"`
	DayFrom   int     `json:"day_from"`
	NightFrom int     `json:"night_from"`
	zone      *time.Location
}

func readTariffs(setting func(string) (string, bool)) (*tariffs, error) {
	text, there := setting("TARIFFS")
	if !there {
		return nil, fmt.Errorf("TARIFFS is not in the environment: store it as a secret, and add a policy that grants it")
	}
	tariffs := new(tariffs)
	// What the text says wrong is not told: it is a secret.
	if err := json.Unmarshal([]byte(text), tariffs); err != nil {
		return nil, fmt.Errorf("TARIFFS is not the JSON object of tariffs that README.md describes")
	}
	if tariffs.DayFrom < 0 || tariffs.DayFrom >= tariffs.NightFrom || tariffs.NightFrom > 24 {
		return nil, fmt.Errorf("TARIFFS needs day_from and night_from, hours of which the day's is the earlier")
	}
	name, there := setting("TIME_ZONE")
	if !there {
		name = "UTC"
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("TIME_ZONE is %q, not a time zone such as Europe/Berlin", name)
	}
	tariffs.zone = zone
	return tariffs, nil
}

// What the energy of one instant costs, and whether that is the price of the day.
func (t *tariffs) at(instant time.Time) (float64, bool) {
	hour := instant.In(t.zone).Hour()
	if t.DayFrom <= hour && hour < t.NightFrom {
		return t.Day, true
	}
	return t.Night, false
}
