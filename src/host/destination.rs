//! Where one request goes.

use std::fmt;

use super::{Host, InvalidHost, split};

/// How the way there is protected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scheme {
    /// By TLS.
    Https,
    /// Not at all.
    Http,
}

/// A host with all that a policy looks at.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Destination {
    /// How the way there is protected.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port, that of the scheme where none was written.
    pub port: u16,
}

impl Scheme {
    /// The scheme that `word` names, in any case.
    pub fn from_word(word: &str) -> Option<Self> {
        let is = |scheme: &Self| word.eq_ignore_ascii_case(scheme.word());
        [Self::Https, Self::Http].into_iter().find(is)
    }

    /// Its word in a URL.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port that goes without saying.
    pub const fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}

impl Destination {
    /// Reads the two parts of a URL that name it.
    pub fn parse(scheme: &str, authority: &str) -> Result<Self, InvalidHost> {
        let scheme = Scheme::from_word(scheme).ok_or(InvalidHost::Scheme)?;
        let (host, port) = split(authority)?;
        Ok(Self { scheme, host, port: port.unwrap_or(scheme.port()) })
    }

    /// The value of the `host` header: the host, and the port where the scheme does not say it.
    pub fn authority(&self) -> String {
        match self.port == self.scheme.port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

/// As a URL without a path.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.word(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_destination_become_one() {
        for (scheme, authority) in [
            ("https", "api.example.com"),
            ("HTTPS", "API.example.com:443"),
            ("https", "api.example.com.:0443"),
        ] {
            let destination = Destination::parse(scheme, authority).unwrap();
            assert_eq!(destination.to_string(), "https://api.example.com");
            assert_eq!(destination.port, 443);
        }
        let plain = Destination::parse("http", "[::1]:8080").unwrap();
        assert_eq!((plain.to_string().as_str(), plain.port), ("http://[::1]:8080", 8080));
        assert_eq!(Destination::parse("http", "a:443").unwrap().authority(), "a:443");
        for scheme in ["ftp", "", "ws", "httpss"] {
            assert_eq!(Destination::parse(scheme, "a"), Err(InvalidHost::Scheme));
        }
    }
}
