//! What a secret may be used for without being read: where the host may send it, and how it may
//! sign.
//!
//! Owns the rules for a set of uses and its text in the store. Uses are bound to the sealed value
//! as tags are, so that a row with other hosts, places or algorithms does not open.

use std::fmt;

use serde::Deserialize;
use serde_json::json;

use super::{Exposure, InvalidPlace, Place};
use crate::host::{HostPattern, InvalidPattern};
use crate::words::words;

/// The most hosts of one secret.
pub const MAX_HOSTS: usize = 20;

/// The most places of one secret.
pub const MAX_PLACES: usize = 10;

words! {
    /// How a secret may sign.
    Algorithm:
    HmacSha256 "hmac-sha256" => "HMAC (RFC 2104) with SHA-256.";
    HmacSha384 "hmac-sha384" => "HMAC with SHA-384.";
    HmacSha512 "hmac-sha512" => "HMAC with SHA-512.";
}

/// What one secret may be used for. Each list is sorted, and nothing stands twice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uses {
    hosts: Vec<HostPattern>,
    places: Vec<Place>,
    algorithms: Vec<Algorithm>,
}

/// Why a set of uses is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUses {
    /// An egress secret that may be sent nowhere.
    #[error(
        "a secret of exposure egress needs at least one host that its value may be sent to, such \
         as api.example.com"
    )]
    NoHosts,
    /// Hosts or places on a secret that is read.
    #[error(
        "hosts and places belong to secrets of exposure egress; this one is of exposure \
         environment, so an analysis that it is granted to reads it"
    )]
    Readable,
    /// Too many of something.
    #[error("{count} {what} were given; at most {most} are allowed")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many may be.
        most: usize,
    },
    /// More than one template of a path.
    #[error("a secret has at most one path template among its places")]
    SeveralPaths,
    /// A place that is none.
    #[error(transparent)]
    Place(#[from] InvalidPlace),
}

impl Uses {
    /// No use but being read.
    pub const NONE: Self = Self { hosts: Vec::new(), places: Vec::new(), algorithms: Vec::new() };

    /// Checks and sorts. An egress secret without places may be put into the header
    /// `authorization`.
    pub fn new(
        exposure: Exposure,
        mut hosts: Vec<HostPattern>,
        mut places: Vec<Place>,
        mut algorithms: Vec<Algorithm>,
    ) -> Result<Self, InvalidUses> {
        match exposure {
            Exposure::Environment if !hosts.is_empty() || !places.is_empty() => {
                return Err(InvalidUses::Readable);
            }
            Exposure::Egress if hosts.is_empty() => return Err(InvalidUses::NoHosts),
            Exposure::Egress if places.is_empty() => {
                places.push(Place::Header("authorization".into()));
            }
            Exposure::Environment | Exposure::Egress => {}
        }
        hosts.sort();
        hosts.dedup();
        places.sort();
        places.dedup();
        algorithms.sort_by_key(|algorithm| algorithm.as_str());
        algorithms.dedup();
        let counts = [("hosts", hosts.len(), MAX_HOSTS), ("places", places.len(), MAX_PLACES)];
        if let Some(&(what, count, most)) = counts.iter().find(|(_, count, most)| count > most) {
            return Err(InvalidUses::TooMany { what, count, most });
        }
        let paths = places.iter().filter(|place| matches!(place, Place::Path(_)));
        if paths.count() > 1 {
            return Err(InvalidUses::SeveralPaths);
        }
        Ok(Self { hosts, places, algorithms })
    }

    /// The hosts that the value may be sent to.
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }

    /// Where in a request it may be put.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How it may sign.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Whether there is no use but being read.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.places.is_empty() && self.algorithms.is_empty()
    }

    /// The text that the store keeps; nothing where there are no uses.
    pub fn to_stored(&self) -> Option<String> {
        let json = json!({
            "hosts": texts(&self.hosts), "places": texts(&self.places),
            "algorithms": self.algorithms,
        });
        (!self.is_empty()).then(|| json.to_string())
    }

    /// Reads what [`Uses::to_stored`] wrote. What was changed in the store and can still be read
    /// is found out by opening the value.
    pub fn from_stored(exposure: Exposure, text: Option<&str>) -> Result<Self, UnreadableUses> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Stored {
            hosts: Vec<String>,
            places: Vec<String>,
            algorithms: Vec<Algorithm>,
        }
        let Some(text) = text else { return Ok(Self::default()) };
        let unreadable = |error: &dyn fmt::Display| UnreadableUses(error.to_string());
        let Stored { hosts, places, algorithms } =
            serde_json::from_str(text).map_err(|error| unreadable(&error))?;
        let hosts: Result<_, InvalidPattern> = hosts.iter().map(|host| host.parse()).collect();
        let hosts = hosts.map_err(|error| unreadable(&error))?;
        let places: Result<_, InvalidPlace> = places.iter().map(|place| place.parse()).collect();
        let places = places.map_err(|error| unreadable(&error))?;
        Self::new(exposure, hosts, places, algorithms).map_err(|error| unreadable(&error))
    }
}

/// Each as it is written, for the API, the store and people.
pub fn texts(items: &[impl fmt::Display]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// The text of a row's uses is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UnreadableUses(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(hosts: &[&str]) -> Vec<HostPattern> {
        hosts.iter().map(|host| host.parse().unwrap()).collect()
    }

    fn egress(names: &[&str], places: &[&str]) -> Result<Uses, InvalidUses> {
        let places = places.iter().map(|place| place.parse().unwrap()).collect();
        Uses::new(Exposure::Egress, hosts(names), places, Vec::new())
    }

    #[test]
    fn an_egress_secret_needs_a_host_and_has_the_authorization_header_as_its_place() {
        assert_eq!(egress(&[], &[]), Err(InvalidUses::NoHosts));
        let uses = egress(&["a.example"], &[]).unwrap();
        assert_eq!(uses.places(), [Place::Header("authorization".into())]);
        let uses = egress(&["a.example"], &["query:key"]).unwrap();
        assert_eq!(uses.places(), [Place::Query("key".into())]);
    }

    #[test]
    fn a_secret_that_is_read_has_neither_hosts_nor_places() {
        let of = |names: &[&str], places| {
            Uses::new(Exposure::Environment, hosts(names), places, vec![Algorithm::HmacSha256])
        };
        assert_eq!(of(&["a.example"], Vec::new()), Err(InvalidUses::Readable));
        assert_eq!(of(&[], vec![Place::Basic]), Err(InvalidUses::Readable));
        assert_eq!(of(&[], Vec::new()).unwrap().algorithms(), [Algorithm::HmacSha256]);
    }

    #[test]
    fn order_and_repetitions_do_not_matter() {
        let one = egress(&["b", "a", "b"], &["query:x", "form:y", "query:x"]).unwrap();
        assert_eq!(one, egress(&["a", "b"], &["form:y", "query:x"]).unwrap());
        assert_eq!(texts(one.hosts()), ["a", "b"]);
    }

    #[test]
    fn there_are_bounds() {
        let many: Vec<String> = (0..=MAX_HOSTS).map(|n| format!("h{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let refused = egress(&many, &[]).unwrap_err().to_string();
        assert_eq!(refused, "21 hosts were given; at most 20 are allowed");
        assert!(egress(&many[1..], &[]).is_ok());
        let paths = egress(&["a"], &["path:/a/{value}", "path:/b/{value}"]);
        assert_eq!(paths, Err(InvalidUses::SeveralPaths));
    }

    #[test]
    fn the_stored_text_is_read_back_and_nothing_else_is() {
        let uses = egress(&["a.example", "*.b.example:8443"], &["json:/a", "path:/x{value}"]);
        let uses = uses.unwrap();
        let stored = uses.to_stored().unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&stored).unwrap(),
            json!({
                "hosts": ["a.example", "*.b.example:8443"],
                "places": ["path:/x{value}", "json:/a"],
                "algorithms": [],
            })
        );
        assert_eq!(Uses::from_stored(Exposure::Egress, Some(&stored)), Ok(uses));
        assert_eq!(Uses::from_stored(Exposure::Egress, None), Ok(Uses::default()));
        assert_eq!(Uses::default().to_stored(), None);
        for text in ["", "{}", r#"{"hosts":[],"places":[],"algorithms":["md5"]}"#] {
            assert!(Uses::from_stored(Exposure::Egress, Some(text)).is_err(), "{text}");
        }
        assert!(Uses::from_stored(Exposure::Environment, Some(&stored)).is_err());
    }
}
