package main

import (
	"strings"
	"testing"
)

const some = `{"currency": "EUR", "day": 0.5, "night": 0.25, "day_from": 6, "night_from": 22}`

func bills(scope string, settings map[string]string) (string, string, error) {
	var out, skipped strings.Builder
	setting := func(key string) (string, bool) { value, there := settings[key]; return value, there }
	err := run(strings.NewReader(scope), &out, &skipped, setting)
	return out.String(), skipped.String(), err
}

func TestTheTimeZoneDecidesWhichTariffHolds(t *testing.T) {
	scope := `[{"variable": "m", "value": 2, "unit": "kWh", "time": "2024-05-24T20:30:00Z"}]`
	for zone, expected := range map[string]string{
		"UTC":           "m: 2.00 kWh by day, 0.00 kWh by night, 1.00 EUR\ntotal: 1.00 EUR\n",
		"Europe/Berlin": "m: 0.00 kWh by day, 2.00 kWh by night, 0.50 EUR\ntotal: 0.50 EUR\n",
	} {
		out, _, err := bills(scope, map[string]string{"TARIFFS": some, "TIME_ZONE": zone})
		if err != nil || out != expected {
			t.Errorf("%s: %q, %v", zone, out, err)
		}
	}
}

func TestWhatIsNotUsableIsSkippedWithItsReason(t *testing.T) {
	scope := `[7, {"variable": "m"}, {"variable": "m", "value": 1, "unit": "m", "time": "2024-05-24T20:30:00Z"}]`
	_, skipped, err := bills(scope, map[string]string{"TARIFFS": some})
	if err == nil || strings.Count(skipped, "skipped: ") != 3 || !strings.Contains(skipped, `unit is "m"`) {
		t.Errorf("%q, %v", skipped, err)
	}
}

func TestWrongSettingsAreNamedAndNeverShown(t *testing.T) {
	for _, settings := range []map[string]string{
		{}, {"TARIFFS": "hush"}, {"TARIFFS": `{"day": "hush"}`}, {"TARIFFS": `{"day_from": 9}`},
	} {
		_, _, err := bills("[]", settings)
		if err == nil || !strings.HasPrefix(err.Error(), "TARIFFS ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v: %v", settings, err)
		}
	}
	_, _, err := bills("[]", map[string]string{"TARIFFS": some, "TIME_ZONE": "Moon"})
	if err == nil || !strings.HasPrefix(err.Error(), `TIME_ZONE is "Moon"`) {
		t.Error(err)
	}
}
