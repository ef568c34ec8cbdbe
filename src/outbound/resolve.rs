//! From a host to the addresses that may be connected to.
//!
//! Each request resolves its host once, and what is checked here is what is connected to. One
//! forbidden address among the answers refuses the request: whoever answers so means no good.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Error;
use super::address::{self, PrivateRange};
use crate::host::Host;

/// How many names are looked up at the same time, each on a thread of its own.
const LOOKUPS: usize = 64;

/// Asks for the addresses of a name, and blocks.
pub(super) type Lookup = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// Resolves names, and checks every address.
pub(super) struct Resolver {
    lookup: Lookup,
    /// Names that are never looked up.
    known: BTreeMap<Host, IpAddr>,
    opened: Vec<PrivateRange>,
    turns: Arc<Semaphore>,
}

impl Resolver {
    pub(super) fn new(
        lookup: Lookup,
        known: BTreeMap<Host, IpAddr>,
        opened: Vec<PrivateRange>,
    ) -> Self {
        Self { lookup, known, opened, turns: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// The addresses of `host`, at least one, all of them allowed. `place` is held until nobody
    /// looks the name up any more, so that a run cannot leave lookups behind without end.
    pub(super) async fn resolve(
        &self,
        host: &Host,
        place: impl Send + 'static,
    ) -> Result<Vec<IpAddr>, Error> {
        let addresses = match (host, self.known.get(host)) {
            (_, Some(address)) | (Host::Address(address), None) => vec![*address],
            (Host::Name(name), None) => self.look_up(name, place).await?,
        };
        for address in &addresses {
            address::check(*address, &self.opened).map_err(|forbidden| {
                tracing::debug!(%host, %address, "a request to a forbidden address was refused");
                let repair = match forbidden.openable {
                    true => ": the operator can open it with the setting outbound_private_ranges",
                    false => "",
                };
                let verb = if matches!(host, Host::Name(_)) { "leads to" } else { "is" };
                let what = forbidden.what;
                Error::Denied(format!("{host} {verb} {what}, which no analysis reaches{repair}"))
            })?;
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: &str, place: impl Send + 'static) -> Result<Vec<IpAddr>, Error> {
        let unknown = || Error::UnknownName(name.into());
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| unknown())?;
        let (lookup, asked) = (Arc::clone(&self.lookup), name.to_owned());
        // They stay with the thread: a caller that goes away does not free them.
        let answer = tokio::task::spawn_blocking(move || {
            let (_turn, _place) = (turn, place);
            lookup(&asked)
        });
        let mut addresses = answer.await.ok().and_then(Result::ok).ok_or_else(unknown)?;
        let mut seen = std::collections::HashSet::new();
        addresses.retain(|address| seen.insert(*address));
        if addresses.is_empty() { Err(unknown()) } else { Ok(addresses) }
    }
}

/// As every program of this machine resolves names.
pub(super) fn system() -> Lookup {
    Arc::new(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(answers: &'static [&'static str]) -> Resolver {
        let lookup = move |name: &str| match name {
            "gone.example" => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(answers.iter().map(|text| text.parse().unwrap()).collect()),
        };
        let known = ("inner.example", "10.0.0.7");
        let known = [(Host::parse(known.0).unwrap(), known.1.parse().unwrap())].into();
        Resolver::new(Arc::new(lookup), known, vec!["127.0.0.1".parse().unwrap()])
    }

    async fn resolve(resolver: &Resolver, host: &str) -> Result<Vec<IpAddr>, String> {
        let resolved = resolver.resolve(&Host::parse(host).unwrap(), ()).await;
        resolved.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn addresses_keep_their_order_and_come_once() {
        let resolver = resolver(&["9.9.9.9", "1.1.1.1", "9.9.9.9", "127.0.0.1"]);
        let addresses = resolve(&resolver, "a.example").await.unwrap();
        let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["9.9.9.9", "1.1.1.1", "127.0.0.1"]);
    }

    #[tokio::test]
    async fn one_forbidden_address_refuses_all() {
        let resolver = resolver(&["9.9.9.9", "10.0.0.1"]);
        let refused = resolve(&resolver, "a.example").await.unwrap_err();
        assert_eq!(
            refused,
            "a.example leads to a private address, which no analysis reaches: the operator can \
             open it with the setting outbound_private_ranges"
        );
        let refused = resolve(&resolver, "224.0.0.1").await.unwrap_err();
        assert_eq!(refused, "224.0.0.1 is a multicast address, which no analysis reaches");
        assert!(resolve(&resolver, "[::ffff:127.0.0.1]").await.is_err());
    }

    #[tokio::test]
    async fn known_names_are_not_looked_up_and_their_addresses_are_checked() {
        let resolver = resolver(&["9.9.9.9"]);
        assert!(resolve(&resolver, "inner.example").await.unwrap_err().contains("private"));
    }

    #[tokio::test]
    async fn a_name_without_addresses_is_unknown() {
        for host in ["gone.example", "empty.example"] {
            let refused = resolve(&resolver(&[]), host).await.unwrap_err();
            assert_eq!(refused, format!("the name {host} cannot be resolved"));
        }
    }
}
