//! Which addresses no request may reach.
//!
//! Owns the ranges that are not the public internet, and which of them a setting may open. An
//! address that is opened here still needs a policy that allows its host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A range that is not the public internet.
struct Range {
    net: IpNet,
    what: &'static str,
    openable: bool,
}

const fn v4(address: [u8; 4], prefix: u8, what: &'static str, openable: bool) -> Range {
    let [a, b, c, d] = address;
    let net = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix));
    Range { net, what, openable }
}

const fn v6(head: [u16; 3], prefix: u8, what: &'static str, openable: bool) -> Range {
    let [a, b, c] = head;
    let net = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix));
    Range { net, what, openable }
}

const fn low(last: [u16; 3], prefix: u8, what: &'static str, openable: bool) -> Range {
    let [a, b, c] = last;
    let net = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, a, b, c), prefix));
    Range { net, what, openable }
}

/// The narrower ranges stand before those that hold them.
const RANGES: &[Range] = &[
    v4([0, 0, 0, 0], 8, "an address of this network", false),
    v4([10, 0, 0, 0], 8, "a private address", true),
    v4([100, 64, 0, 0], 10, "an address of a carrier's own network", true),
    v4([127, 0, 0, 0], 8, "a loopback address", true),
    v4([169, 254, 0, 0], 16, "a link-local address", true),
    v4([172, 16, 0, 0], 12, "a private address", true),
    v4([192, 0, 0, 0], 24, "an address of protocols", false),
    v4([192, 0, 2, 0], 24, "an address of documentation", false),
    v4([192, 88, 99, 0], 24, "an address of 6to4 relays", false),
    v4([192, 168, 0, 0], 16, "a private address", true),
    v4([198, 18, 0, 0], 15, "an address of benchmarks", true),
    v4([198, 51, 100, 0], 24, "an address of documentation", false),
    v4([203, 0, 113, 0], 24, "an address of documentation", false),
    v4([224, 0, 0, 0], 4, "a multicast address", false),
    v4([255, 255, 255, 255], 32, "the broadcast address", false),
    v4([240, 0, 0, 0], 4, "a reserved address", false),
    low([0, 0, 0], 128, "the unspecified address", false),
    low([0, 0, 1], 128, "a loopback address", true),
    low([0, 0, 0], 96, "an IPv4 address in IPv6", false),
    low([0xffff, 0, 0], 96, "an IPv4 address in IPv6", false),
    v6([0x64, 0xff9b, 0], 96, "an IPv4 address behind NAT64", true),
    v6([0x64, 0xff9b, 1], 48, "an IPv4 address behind NAT64", false),
    v6([0x100, 0, 0], 64, "an address that discards", false),
    v6([0x2001, 0, 0], 32, "an IPv4 address behind Teredo", false),
    v6([0x2001, 0, 0], 23, "an address of protocols", false),
    v6([0x2001, 0xdb8, 0], 32, "an address of documentation", false),
    v6([0x2002, 0, 0], 16, "an IPv4 address behind 6to4", false),
    v6([0x3fff, 0, 0], 20, "an address of documentation", false),
    v6([0xfc00, 0, 0], 7, "a private address", true),
    v6([0xfe80, 0, 0], 10, "a link-local address", false),
    v6([0xfec0, 0, 0], 10, "a site-local address", false),
    v6([0xff00, 0, 0], 8, "a multicast address", false),
];

/// All of IPv6 that is the public internet, but for the ranges above.
const GLOBAL: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Where clouds answer their machines' questions about credentials. A wider range that is opened
/// does not open them.
const METADATA: &[IpAddr] = &[
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 42, 42)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// A range that a setting opens: part of one that can be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrivateRange(IpNet);

/// Why a text opens nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "ranges such as 10.0.0.0/8, each within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \
     100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 198.18.0.0/15, ::1, fc00::/7 or 64:ff9b::/96, \
     or one address of a cloud's metadata"
)]
pub struct InvalidRange;

impl FromStr for PrivateRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let net = text.parse().or_else(|_| address()).map_err(|_| InvalidRange)?;
        let within = |range: &Range| range.openable && range.net.contains(&net);
        match METADATA.contains(&net.addr()) && is_one(&net) || RANGES.iter().any(within) {
            true => Ok(Self(net.trunc())),
            false => Err(InvalidRange),
        }
    }
}

impl fmt::Display for PrivateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn is_one(net: &IpNet) -> bool {
    net.prefix_len() == net.max_prefix_len()
}

/// What is wrong with an address, in words after "is".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Forbidden {
    pub(super) what: &'static str,
    /// Whether a setting could open it.
    pub(super) openable: bool,
}

/// Checks one address against all ranges but those that are `opened`.
pub(super) fn check(address: IpAddr, opened: &[PrivateRange]) -> Result<(), Forbidden> {
    let mut opening = opened.iter().filter(|range| range.0.contains(&address));
    if METADATA.contains(&address) {
        return match opening.any(|range| is_one(&range.0)) {
            true => Ok(()),
            false => Err(Forbidden { what: "the address of a cloud's metadata", openable: true }),
        };
    }
    if let Some(range) = RANGES.iter().find(|range| range.net.contains(&address)) {
        if !range.openable || opening.next().is_none() {
            return Err(Forbidden { what: range.what, openable: range.openable });
        }
        // An opened translator leads to an IPv4 address, which has to pass by itself.
        return match address {
            IpAddr::V6(address) if address.segments()[0] == 0x64 => {
                let [.., a, b, c, d] = address.octets();
                check(Ipv4Addr::new(a, b, c, d).into(), opened)
            }
            _ => Ok(()),
        };
    }
    match address {
        IpAddr::V6(address) if !GLOBAL.contains(&address) => {
            Err(Forbidden { what: "no public address", openable: false })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn opened(texts: &[&str]) -> Vec<PrivateRange> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_public_internet_passes() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860::1",
            "2003::1",
        ] {
            assert_eq!(check(address(text), &[]), Ok(()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_forbidden_and_said_to_be_what_it_is() {
        for (text, what) in [
            ("0.0.0.0", "this network"),
            ("0.1.2.3", "this network"),
            ("10.0.0.1", "private"),
            ("100.64.0.1", "carrier"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.1.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("169.254.170.2", "metadata"),
            ("100.100.100.200", "metadata"),
            ("192.0.0.192", "metadata"),
            ("168.63.129.16", "metadata"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.1", "protocols"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("192.168.0.1", "private"),
            ("198.18.0.1", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.1", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "IPv4 address in IPv6"),
            ("::127.0.0.1", "IPv4 address in IPv6"),
            ("::ffff:127.0.0.1", "IPv4 address in IPv6"),
            ("::ffff:8.8.8.8", "in IPv6"),
            ("::ffff:0:7f00:1", "no public"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::1", "NAT64"),
            ("100::1", "discards"),
            ("2001::1", "Teredo"),
            ("2001:2::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("3fff::1", "documentation"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "metadata"),
            ("fd20:ce::254", "metadata"),
            ("fdff::1", "private"),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("5f00::1", "no public"),
            ("4000::1", "no public"),
            ("e000::1", "no public"),
        ] {
            let forbidden = check(address(text), &[]).expect_err(text);
            assert!(forbidden.what.contains(what), "{text}: {}", forbidden.what);
        }
    }

    #[test]
    fn a_range_that_is_opened_opens_itself_and_nothing_else() {
        let ours = opened(&["10.1.0.0/16", "127.0.0.1", "fd12::/16"]);
        for text in ["10.1.2.3", "127.0.0.1", "fd12::1"] {
            assert_eq!(check(address(text), &ours), Ok(()), "{text}");
        }
        for text in ["10.2.0.1", "127.0.0.2", "fd13::1", "::ffff:10.1.2.3", "192.168.0.1"] {
            assert!(check(address(text), &ours).is_err(), "{text}");
        }
    }

    #[test]
    fn metadata_stays_shut_unless_it_is_opened_by_itself() {
        let wide = opened(&["169.254.0.0/16", "fc00::/7", "100.64.0.0/10"]);
        for text in [
            "169.254.169.254",
            "169.254.42.42",
            "169.254.0.23",
            "fd00:ec2::254",
            "fd00:42::42",
            "100.100.100.200",
        ] {
            assert!(check(address(text), &wide).is_err(), "{text}");
            assert_eq!(check(address(text), &opened(&[text])), Ok(()), "{text}");
        }
        assert_eq!(check(address("169.254.1.1"), &wide), Ok(()));
    }

    #[test]
    fn an_opened_translator_does_not_lead_to_what_is_shut() {
        let translator = opened(&["64:ff9b::/96"]);
        assert_eq!(check(address("64:ff9b::808:808"), &translator), Ok(()));
        for text in ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1"] {
            assert!(check(address(text), &translator).is_err(), "{text}");
        }
    }

    #[test]
    fn what_nobody_may_open_is_refused() {
        for text in [
            "0.0.0.0/0",
            "::/0",
            "8.8.8.8/32",
            "224.0.0.0/4",
            "10.0.0.0/7",
            "fe80::/10",
            "0.0.0.0",
            "10.0.0.0/33",
            "private",
            "",
            "::ffff:0:0/96",
            "169.254.169.254/24x",
        ] {
            assert_eq!(text.parse::<PrivateRange>(), Err(InvalidRange), "{text}");
        }
        assert_eq!("10.1.2.3/16".parse::<PrivateRange>().unwrap().to_string(), "10.1.0.0/16");
    }

    proptest! {
        #[test]
        fn an_ipv4_address_in_ipv6_is_never_reached(bits in any::<u32>()) {
            let inner = Ipv4Addr::from(bits);
            let [a, b, c, d] = inner.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for outer in [
                inner.to_ipv6_mapped(),
                inner.to_ipv6_compatible(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, !high, !low),
            ] {
                prop_assert!(check(outer.into(), &[]).is_err(), "{}", outer);
            }
        }

        #[test]
        fn what_the_standard_library_calls_special_is_forbidden(bits in any::<u32>()) {
            let ip = Ipv4Addr::from(bits);
            let special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
                || ip.is_broadcast() || ip.is_documentation() || ip.is_unspecified()
                || ip.is_multicast();
            prop_assert!(!special || check(ip.into(), &[]).is_err(), "{}", ip);
        }
    }
}
