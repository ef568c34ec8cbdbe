//! Hosts of the network: the names and addresses that requests go to, and what is said about them.
//!
//! Owns the one normal form that policies, secrets and requests share, so that two spellings of a
//! host can never be decided apart. It resolves nothing and knows no rule about addresses.

mod destination;
mod pattern;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

pub use destination::{Destination, Scheme};
pub use pattern::{HostPattern, InvalidPattern};

/// A host in its normal form.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Host {
    /// A name as DNS spells it: lower case, punycode, no dot at the end.
    Name(String),
    /// An address that was written as such.
    Address(IpAddr),
}

/// Why a text names no host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidHost {
    /// Nothing, or something that no name may hold.
    #[error("it is not a name that DNS can hold")]
    Name,
    /// An IPv4 address in an old spelling: hexadecimal, octal, or too few or too many numbers.
    #[error("write an IPv4 address as four decimal numbers, such as 192.0.2.1")]
    Ipv4,
    /// Brackets without an IPv6 address in them.
    #[error("write an IPv6 address in brackets and without a zone, such as [2001:db8::1]")]
    Ipv6,
    /// A user or a password before the host.
    #[error("write no user and no password before the host; send an authorization header")]
    UserInfo,
    /// A port that is none.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// A scheme other than the two.
    #[error("the scheme is https or http")]
    Scheme,
}

impl Host {
    /// Reads a host as it stands in a URL: a name, four decimal numbers, or brackets.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        if let Some(rest) = text.strip_prefix('[') {
            let inner = rest.strip_suffix(']').ok_or(InvalidHost::Ipv6)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| InvalidHost::Ipv6)?;
            return Ok(Self::Address(address.into()));
        }
        if text.contains('@') {
            return Err(InvalidHost::UserInfo);
        }
        let ascii = Uts46::new().to_ascii(
            text.as_bytes(),
            AsciiDenyList::URL,
            Hyphens::CheckFirstLast,
            DnsLength::VerifyAllowRootDot,
        );
        let ascii = ascii.map_err(|_| InvalidHost::Name)?;
        let name = ascii.strip_suffix('.').unwrap_or(&ascii);
        if name.is_empty() || !name.bytes().all(is_of_a_name) {
            return Err(InvalidHost::Name);
        }
        if !ends_in_a_number(name) {
            return Ok(Self::Name(name.to_owned()));
        }
        // Others read such a text as an address, so it must never pass as a name.
        let address: Ipv4Addr = name.parse().map_err(|_| InvalidHost::Ipv4)?;
        Ok(Self::Address(address.into()))
    }
}

fn is_of_a_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.')
}

/// Whether the last label is a decimal, octal or hexadecimal number.
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits(last) || last.strip_prefix("0x").is_some_and(hexadecimal)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// The host and the port of an authority; none where it names no port.
fn split(authority: &str) -> Result<(Host, Option<u16>), InvalidHost> {
    if authority.contains('@') {
        return Err(InvalidHost::UserInfo);
    }
    // The colons of an IPv6 address stand within its brackets.
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[end..].find(':') {
        Some(at) => (&authority[..end + at], Some(&authority[end + at + 1..])),
        None => (authority, None),
    };
    let number = |port: &str| {
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port: &u16| digits && *port > 0);
        port.ok_or(InvalidHost::Port)
    };
    Ok((Host::parse(host)?, port.map(number).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> String {
        match Host::parse(text) {
            Ok(Host::Name(name)) => name,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn spellings_of_one_name_become_one() {
        for text in ["api.example.com", "API.Example.COM", "api.example.com.", "ａｐｉ.example.com"]
        {
            assert_eq!(name(text), "api.example.com", "{text}");
        }
        for text in ["bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "bücher。example"]
        {
            assert_eq!(name(text), "xn--bcher-kva.example", "{text}");
        }
        assert_eq!(name("r3---sn-x.example"), "r3---sn-x.example");
        assert_eq!(name("my_bucket.example"), "my_bucket.example");
    }

    #[test]
    fn what_dns_cannot_hold_is_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = vec!["a"; 128].join(".");
        for text in [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            "-a.example",
            "a-.example",
            "a b",
            "a%41.example",
            "a/b",
            "a\\b",
            "a#b",
            "a?b",
            "a\0b",
            "a\tb",
            "*.example",
            "xn--a",
            "a,b",
            "a!b",
            "a;b",
            &long,
            &longer,
        ] {
            assert_eq!(Host::parse(text), Err(InvalidHost::Name), "{text:?}");
        }
        assert_eq!(Host::parse("user@a.example"), Err(InvalidHost::UserInfo));
    }

    #[test]
    fn an_ipv4_address_has_one_spelling_and_the_others_are_no_names() {
        assert_eq!(Host::parse("127.0.0.1"), Ok(Host::Address(Ipv4Addr::LOCALHOST.into())));
        assert_eq!(Host::parse("127.0.0.1."), Ok(Host::Address(Ipv4Addr::LOCALHOST.into())));
        assert_eq!(Host::parse("１２７.0.0.1"), Ok(Host::Address(Ipv4Addr::LOCALHOST.into())));
        for text in [
            "0x7f.1",
            "0x7f000001",
            "017700000001",
            "2130706433",
            "127.1",
            "127.0.1",
            "0177.0.0.1",
            "127.0.0.01",
            "1.2.3.4.5",
            "256.0.0.1",
            "0",
            "0x",
            "0X7F.0.0.0x1",
            "a.0x1",
            "a.1",
            "127.0.0.0x1",
        ] {
            assert_eq!(Host::parse(text), Err(InvalidHost::Ipv4), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets_without_a_zone() {
        for text in ["[::1]", "[0:0::0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]"] {
            assert_eq!(Host::parse(text), Ok(Host::Address(Ipv6Addr::LOCALHOST.into())), "{text}");
        }
        for text in ["[::1", "[]", "[fe80::1%eth0]", "[fe80::1%25eth0]", "[127.0.0.1]", "[v1.x]"] {
            assert_eq!(Host::parse(text), Err(InvalidHost::Ipv6), "{text}");
        }
        assert_eq!(Host::parse("::1"), Err(InvalidHost::Name));
    }

    #[test]
    fn authorities_are_cut_at_their_port() {
        let read = |text| split(text).map(|(host, port)| (host.to_string(), port));
        assert_eq!(read("A.example"), Ok(("a.example".into(), None)));
        assert_eq!(read("a.example:8443"), Ok(("a.example".into(), Some(8443))));
        assert_eq!(read("[::1]:80"), Ok(("[::1]".into(), Some(80))));
        for text in ["a:0", "a:", "a:65536", "a:+1", "a: 1", "a:1:2", "[::1]:x"] {
            assert_eq!(read(text), Err(InvalidHost::Port), "{text}");
        }
        assert_eq!(read("[::1]a"), Err(InvalidHost::Ipv6));
        assert_eq!(read("u:p@a.example"), Err(InvalidHost::UserInfo));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = split(&text);
            if let Ok(host) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(&host.to_string()), Ok(host));
            }
        }

        #[test]
        fn a_name_is_never_what_others_read_as_an_address(
            text in "(0x)?[0-9a-fA-F]{1,9}(\\.(0x)?[0-9a-fA-F]{0,4}){0,4}\\.?",
        ) {
            if let Ok(Host::Name(name)) = Host::parse(&text) {
                let last = name.rsplit('.').next().unwrap();
                prop_assert!(last.bytes().any(|byte| !byte.is_ascii_digit()), "{}", name);
                prop_assert!(!last.starts_with("0x") || u64::from_str_radix(&last[2..], 16).is_err());
            }
        }
    }
}
