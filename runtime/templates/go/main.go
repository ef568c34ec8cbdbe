// Tells which records of the scope are above LIMIT.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
)

// What a device sent.
type record struct {
	Variable string  `json:"variable"`
	Value    float64 `json:"value"`
	Unit     string  `json:"unit"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	limit, err := strconv.ParseFloat(os.Getenv("LIMIT"), 64)
	if err != nil {
		return fmt.Errorf("LIMIT is not a number: set it as a variable")
	}
	var records []record
	if err := json.NewDecoder(os.Stdin).Decode(&records); err != nil {
		return fmt.Errorf("the scope is not a list of device records: %w", err)
	}
	above := 0
	for _, record := range records {
		if record.Value > limit {
			above++
			fmt.Printf("%s: %g %s is above %g\n", record.Variable, record.Value, record.Unit, limit)
		}
	}
	fmt.Printf("%d of %d records are above %g\n", above, len(records), limit)
	return nil
}
