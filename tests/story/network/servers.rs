//! Servers on this machine for guests to call, and a certificate authority of their own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::harness::Place;

/// A certificate authority that a place believes.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// The file with its certificate.
    pub file: PathBuf,
}

impl Authority {
    /// A new one, with its certificate in the place.
    pub fn new(place: &Place) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let file = place.file("ca.pem", certificate.pem());
        Self { issuer: Issuer::new(params, key), file }
    }

    /// What a server for these names shows.
    fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate with its key");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A server on 127.0.0.1 that answers every request with the same bytes.
pub struct Server {
    /// Its port.
    pub port: u16,
    accepted: Arc<AtomicUsize>,
    /// Told whenever a peer has closed its connection.
    pub closed: Arc<Notify>,
}

/// An answer with this body.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// An answer that sends the client elsewhere.
pub fn moved(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n")
}

impl Server {
    /// Without TLS.
    pub async fn plain(answer: impl Into<String>) -> Self {
        Self::serve(answer.into(), None).await
    }

    /// With a certificate for these names.
    pub async fn tls(answer: impl Into<String>, authority: &Authority, names: &[&str]) -> Self {
        Self::serve(answer.into(), Some(authority.acceptor(names))).await
    }

    async fn serve(answer: String, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let server = Self { port, accepted: Arc::default(), closed: Arc::default() };
        let (accepted, closed) = (Arc::clone(&server.accepted), Arc::clone(&server.closed));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let (answer, tls, closed) = (answer.clone(), tls.clone(), Arc::clone(&closed));
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, &answer).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            converse(stream, &answer).await;
                        }
                    }
                    closed.notify_one();
                });
            }
        });
        server
    }

    /// How many connections were made to it.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// Answers one request, and waits until the peer closes.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.flush().await;
    let mut rest = [0; 4096];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}
