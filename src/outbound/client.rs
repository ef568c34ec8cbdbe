//! What all runs of a process share: settings, and not one connection.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Error;
use super::address::PrivateRange;
use super::connect::{Stream, connect};
use super::meter::{Meter, Metered};
use super::resolve::{Lookup, Resolver, system};
use super::tls::Tls;
use crate::host::{Destination, Host, Scheme};

/// How many connections all runs of a process have together. It keeps descriptors for the rest.
const CONNECTIONS: usize = 512;

/// How a [`Client`] is set up.
#[derive(Clone, Default, Debug)]
pub struct Settings {
    /// Ranges that are not the public internet and may be reached all the same.
    pub private_ranges: Vec<PrivateRange>,
    /// Names with the address that each leads to, whatever DNS says.
    pub hosts: BTreeMap<Host, IpAddr>,
    /// A PEM file with certificate authorities to believe beside the machine's.
    pub ca_file: Option<PathBuf>,
    /// Whether secrets of exposure egress may go out without TLS, where their hosts say so too.
    pub egress_over_plain_http: bool,
}

/// The file of certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificates in {path} (the setting outbound_ca_file) cannot be used: {error}")]
pub struct InvalidCaFile {
    path: PathBuf,
    error: io::Error,
}

/// Connects to hosts of the network. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    resolver: Resolver,
    tls: Tls,
    places: Arc<Semaphore>,
}

impl Client {
    /// Reads the file of certificate authorities, where one is set, and nothing else.
    pub fn new(settings: &Settings) -> Result<Self, InvalidCaFile> {
        Self::with_lookup(settings, system())
    }

    pub(super) fn with_lookup(settings: &Settings, lookup: Lookup) -> Result<Self, InvalidCaFile> {
        let path = settings.ca_file.as_deref();
        let tls = Tls::new(path).map_err(|error| InvalidCaFile {
            path: path.unwrap_or(std::path::Path::new("")).into(),
            error,
        })?;
        let ranges = settings.private_ranges.clone();
        let resolver = Resolver::new(lookup, settings.hosts.clone(), ranges);
        Ok(Self(Arc::new(Shared { resolver, tls, places: Arc::new(Semaphore::new(CONNECTIONS)) })))
    }

    /// A place for one connection; it may take long.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.places).acquire_owned().await.ok()
    }

    /// Resolves the host once, checks every address, and connects to one of those very addresses.
    /// `place` is held until nobody looks the name up any more.
    pub(super) async fn connect(
        &self,
        destination: &Destination,
        meter: &Arc<Meter>,
        place: impl Send + 'static,
    ) -> Result<Stream, Error> {
        let addresses = self.0.resolver.resolve(&destination.host, place).await?;
        let stream = connect(destination, &addresses).await?;
        let stream = Metered::new(stream, Arc::clone(meter));
        match destination.scheme {
            Scheme::Http => Ok(Stream::Plain(stream)),
            Scheme::Https => {
                let stream = self.0.tls.connect(&destination.host, stream).await?;
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }
}
