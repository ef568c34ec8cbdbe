//! TLS towards the hosts that guests call.
//!
//! Owns whom to believe: the machine's certificate authorities, and those of a setting. Nothing of
//! one connection is of use to another: no session is resumed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::Error;
use crate::host::Host;

/// Makes TLS connections. The machine's authorities are read when they are first needed.
pub(super) struct Tls {
    extra: Vec<CertificateDer<'static>>,
    connector: OnceCell<TlsConnector>,
}

impl Tls {
    /// Believes the authorities in `ca_file` too.
    pub(super) fn new(ca_file: Option<&Path>) -> io::Result<Self> {
        let extra = match ca_file {
            None => Vec::new(),
            Some(path) => {
                let pem = std::fs::read(path)?;
                let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
                read.map_err(io::Error::other)?
            }
        };
        if ca_file.is_some() && extra.is_empty() {
            return Err(io::Error::other("it holds no certificate"));
        }
        let mut roots = RootCertStore::empty();
        for certificate in &extra {
            roots.add(certificate.clone()).map_err(io::Error::other)?;
        }
        Ok(Self { extra, connector: OnceCell::new() })
    }

    /// Begins TLS on `stream` with whoever can show to be `host`.
    pub(super) async fn connect<S>(&self, host: &Host, stream: S) -> Result<TlsStream<S>, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = self.connector.get_or_try_init(|| self.connector()).await?;
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone())
                .map_err(|_| Error::Tls(format!("no certificate can be for the name {name}")))?,
        };
        connector.connect(name, stream).await.map_err(|error| Error::Tls(error.to_string()))
    }

    async fn connector(&self) -> Result<TlsConnector, Error> {
        let native = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
        let native = native.map_err(|error| Error::Tls(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(native.certs);
        roots.add_parsable_certificates(self.extra.iter().cloned());
        if roots.is_empty() {
            let what = "the runner's machine has no certificate authorities: its operator can \
                        install ca-certificates, or name a file with the setting outbound_ca_file";
            return Err(Error::Tls(what.into()));
        }
        let provider = Arc::new(ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}
