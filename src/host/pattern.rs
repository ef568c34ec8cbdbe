//! Which destinations a policy or a secret is about.

use std::fmt;
use std::str::FromStr;

use super::{Destination, Host, InvalidHost, Scheme, split};

/// Destinations by one text: `api.example.com`, `*.example.com`, `192.0.2.1`, each perhaps with
/// `http://` or `https://` before it and `:port` behind it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPattern {
    scheme: Option<Scheme>,
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Hosts {
    One(Host),
    /// Every name below this one, at any depth, and not itself.
    Below(String),
}

/// Why a text is no pattern of hosts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidPattern {
    /// What stands for the host is none.
    #[error(transparent)]
    Host(#[from] InvalidHost),
    /// A star that would stand for too much, or in the wrong place.
    #[error(
        "a star stands for everything below a name of at least two labels, as in *.example.com"
    )]
    Star,
    /// A path, a query or a fragment.
    #[error("write no path behind the host: all of a host is allowed or none of it")]
    Path,
}

impl HostPattern {
    /// Whether a request to `destination` is meant by an allow: over TLS unless the pattern says
    /// `http://`, and to the scheme's own port unless it names one.
    pub fn allows(&self, destination: &Destination) -> bool {
        let scheme = self.scheme.unwrap_or(Scheme::Https);
        self.covers(&destination.host)
            && destination.scheme == scheme
            && destination.port == self.port.unwrap_or(scheme.port())
    }

    /// Whether a request to `destination` is meant by a deny: over either scheme and to any port,
    /// unless the pattern names one.
    pub fn denies(&self, destination: &Destination) -> bool {
        self.covers(&destination.host)
            && self.scheme.is_none_or(|scheme| scheme == destination.scheme)
            && self.port.is_none_or(|port| port == destination.port)
    }

    fn covers(&self, host: &Host) -> bool {
        match (&self.hosts, host) {
            (Hosts::One(one), host) => one == host,
            (Hosts::Below(parent), Host::Name(name)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|below| below.ends_with('.'))
            }
            (Hosts::Below(_), Host::Address(_)) => false,
        }
    }

    /// The one destination that an allow of this pattern means; none where it means many.
    pub fn destination(&self) -> Option<Destination> {
        let Hosts::One(host) = &self.hosts else { return None };
        let scheme = self.scheme.unwrap_or(Scheme::Https);
        let port = self.port.unwrap_or(scheme.port());
        Some(Destination { scheme, host: host.clone(), port })
    }

    /// Whether it means requests without TLS.
    pub fn is_plain(&self) -> bool {
        self.scheme == Some(Scheme::Http)
    }

    /// The pattern whose allow means just this destination.
    pub fn of(destination: &Destination) -> Self {
        let plain = destination.scheme == Scheme::Http;
        let named = destination.port != destination.scheme.port();
        Self {
            scheme: plain.then_some(Scheme::Http),
            hosts: Hosts::One(destination.host.clone()),
            port: named.then_some(destination.port),
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = match text.split_once("://") {
            Some((word, rest)) => (Some(Scheme::from_word(word).ok_or(InvalidHost::Scheme)?), rest),
            None => (None, text),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(InvalidPattern::Path);
        }
        let Some(below) = rest.strip_prefix("*.") else {
            if rest.contains('*') {
                return Err(InvalidPattern::Star);
            }
            let (host, port) = split(rest)?;
            return Ok(Self { scheme, hosts: Hosts::One(host), port });
        };
        match split(below) {
            Ok((Host::Name(parent), port)) if parent.contains('.') => {
                Ok(Self { scheme, hosts: Hosts::Below(parent), port })
            }
            Err(InvalidHost::Port) => Err(InvalidHost::Port.into()),
            _ => Err(InvalidPattern::Star),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.word())?;
        }
        match &self.hosts {
            Hosts::One(host) => host.fmt(f)?,
            Hosts::Below(parent) => write!(f, "*.{parent}")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn destination(text: &str) -> Destination {
        let (scheme, authority) = text.split_once("://").unwrap();
        Destination::parse(scheme, authority).unwrap()
    }

    #[test]
    fn an_allow_means_tls_and_the_schemes_own_port_unless_it_says_otherwise() {
        for (text, to, allowed) in [
            ("api.example.com", "https://API.example.com.", true),
            ("api.example.com", "http://api.example.com", false),
            ("api.example.com", "https://api.example.com:8443", false),
            ("api.example.com", "https://x.api.example.com", false),
            ("api.example.com", "https://api.example.com.evil.test", false),
            ("api.example.com:8443", "https://api.example.com:8443", true),
            ("api.example.com:8443", "https://api.example.com", false),
            ("http://api.example.com", "http://api.example.com", true),
            ("http://api.example.com", "https://api.example.com", false),
            ("http://api.example.com", "http://api.example.com:8080", false),
            ("https://api.example.com", "https://api.example.com", true),
            ("192.0.2.1", "https://192.0.2.1", true),
            ("[2001:db8::1]", "https://[2001:db8:0::1]", true),
        ] {
            assert_eq!(pattern(text).allows(&destination(to)), allowed, "{text} {to}");
        }
    }

    #[test]
    fn a_deny_means_every_scheme_and_port_that_it_does_not_name() {
        for (text, to, denied) in [
            ("api.example.com", "https://api.example.com", true),
            ("api.example.com", "http://api.example.com:8080", true),
            ("http://api.example.com", "http://api.example.com:8080", true),
            ("http://api.example.com", "https://api.example.com", false),
            ("api.example.com:25", "http://api.example.com:25", true),
            ("api.example.com:25", "https://api.example.com", false),
            ("*.example.com", "http://a.b.example.com:1", true),
        ] {
            assert_eq!(pattern(text).denies(&destination(to)), denied, "{text} {to}");
        }
    }

    #[test]
    fn a_star_means_what_is_below_and_nothing_else() {
        let below = pattern("*.Example.COM");
        for (to, allowed) in [
            ("https://a.example.com", true),
            ("https://a.b.example.com", true),
            ("https://example.com", false),
            ("https://notexample.com", false),
            ("https://a.example.com.evil.test", false),
        ] {
            assert_eq!(below.allows(&destination(to)), allowed, "{to}");
        }
        for text in [
            "*",
            "*.",
            "*.com",
            "*.com.",
            "a.*.com",
            "*a.example.com",
            "*.*.example.com",
            "*.1.2.3.4",
            "*.[::1]",
            "a*",
            "**.example.com",
            "http://*",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(InvalidPattern::Star), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_with_what_is_wrong() {
        for (text, error) in [
            ("https://api.example.com/", InvalidPattern::Path),
            ("api.example.com/v1", InvalidPattern::Path),
            ("ftp://a.example", InvalidHost::Scheme.into()),
            ("a.example:0", InvalidHost::Port.into()),
            ("*.example.com:x", InvalidHost::Port.into()),
            ("127.1", InvalidHost::Ipv4.into()),
            ("10.0.0.0/8", InvalidPattern::Path),
            ("u@a.example", InvalidHost::UserInfo.into()),
            ("", InvalidHost::Name.into()),
            (" a.example", InvalidHost::Name.into()),
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_pattern_of_a_destination_allows_it() {
        for text in
            ["https://a.example", "http://a.example", "https://a.example:80", "http://[::1]:9"]
        {
            let to = destination(text);
            let pattern = HostPattern::of(&to);
            assert!(pattern.allows(&to), "{text}");
            assert_eq!(pattern.to_string().parse(), Ok(pattern), "{text}");
        }
        assert_eq!(HostPattern::of(&destination("https://a.example")).to_string(), "a.example");
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_reads_the_same(
            text in prop_oneof![
                any::<String>(),
                "(http://|https://)?(\\*\\.)?[a-zA-Z0-9.-]{1,20}(:[0-9]{1,6})?",
            ],
        ) {
            if let Ok(pattern) = text.parse::<HostPattern>() {
                prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
            }
        }
    }
}
