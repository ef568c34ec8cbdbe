//! A place on Earth, read in both of the original's forms and written in one.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};

/// Where something was measured, in degrees.
///
/// It is read as `{"lat": …, "lng": …}` or as a GeoJSON point, and written as the latter.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize)]
#[serde(try_from = "Value")]
pub struct Location {
    /// From -90 to 90.
    pub lat: f64,
    /// From -180 to 180.
    pub lng: f64,
}

/// Why a value is not a [`Location`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a location is {{\"lat\": LATITUDE, \"lng\": LONGITUDE}} or \
     {{\"type\": \"Point\", \"coordinates\": [LONGITUDE, LATITUDE]}}, in degrees"
)]
pub struct InvalidLocation;

impl TryFrom<Value> for Location {
    type Error = InvalidLocation;

    fn try_from(value: Value) -> Result<Self, InvalidLocation> {
        let fields = value.as_object().filter(|fields| fields.len() == 2).ok_or(InvalidLocation)?;
        let (lat, lng) = match (fields.get("lat"), fields.get("lng")) {
            (Some(lat), Some(lng)) => (lat.as_f64(), lng.as_f64()),
            _ if fields.get("type").is_some_and(|kind| kind == "Point") => {
                match fields.get("coordinates").and_then(Value::as_array).map(Vec::as_slice) {
                    Some([lng, lat]) => (lat.as_f64(), lng.as_f64()),
                    _ => (None, None),
                }
            }
            _ => (None, None),
        };
        let within = |degrees: Option<f64>, most: f64| {
            degrees.filter(|degrees| degrees.abs() <= most).ok_or(InvalidLocation)
        };
        Ok(Self { lat: within(lat, 90.0)?, lng: within(lng, 180.0)? })
    }
}

impl Serialize for Location {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({"type": "Point", "coordinates": [self.lng, self.lat]}).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_forms_are_the_same_place() {
        let place = Location { lat: 35.5, lng: -78.0 };
        let pair = json!({"lng": -78, "lat": 35.5});
        let point = json!({"type": "Point", "coordinates": [-78.0, 35.5]});
        assert_eq!(Location::try_from(pair), Ok(place));
        assert_eq!(serde_json::to_value(place).unwrap(), point);
        assert_eq!(Location::try_from(point), Ok(place));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for value in [
            json!(null),
            json!([1, 2]),
            json!({}),
            json!({"lat": 1}),
            json!({"lat": "1", "lng": 2}),
            json!({"lat": 91, "lng": 0}),
            json!({"lat": 0, "lng": -180.1}),
            json!({"lat": 1, "lng": 2, "altitude": 3}),
            json!({"type": "point", "coordinates": [1, 2]}),
            json!({"type": "Point", "coordinates": [1, 2, 3]}),
            json!({"type": "Point", "coordinates": [1, 91]}),
            json!({"type": "LineString", "coordinates": [[1, 2], [3, 4]]}),
        ] {
            assert_eq!(Location::try_from(value.clone()), Err(InvalidLocation), "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_place_survives_its_json(lat in -90.0..=90.0_f64, lng in -180.0..=180.0_f64) {
            let place = Location { lat, lng };
            let read = Location::try_from(serde_json::to_value(place).unwrap());
            prop_assert_eq!(read, Ok(place));
        }
    }
}
