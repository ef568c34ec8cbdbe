//! A host that secrets are sent to: TLS on loopback, with a certificate of an authority of its own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use runner::host::Host;
use runner::pipeline::Settings;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::harness::{Place, settings};

/// What arrived, as one text.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub uri: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Arrived {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The server, under the names `api.test`, `x.api.test` and `evil.test`, with and without TLS.
pub struct Server {
    /// The port that speaks TLS.
    pub port: u16,
    /// The port that does not.
    pub plain_port: u16,
    authority: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Server {
    pub async fn new() -> Self {
        let (key, mut params) = (KeyPair::generate().expect("a key"), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("an authority").pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let names = ["api.test", "x.api.test", "evil.test"].map(str::to_owned);
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            );
        let acceptor = TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")));
        let arrived = Arc::default();
        let (secure, plain) = (listener().await, listener().await);
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let (own_port, plain_port) = (port(&secure), port(&plain));
        let record = Arc::clone(&arrived);
        tokio::spawn(accept(secure, move |stream: TcpStream| {
            let (acceptor, record) = (acceptor.clone(), Arc::clone(&record));
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, record).await;
                }
            });
        }));
        let record = Arc::clone(&arrived);
        tokio::spawn(accept(plain, move |stream: TcpStream| {
            tokio::spawn(serve(stream, Arc::clone(&record)));
        }));
        Self { port: own_port, plain_port, authority, arrived }
    }

    /// The settings of a place whose analyses may reach the server.
    pub fn settings(&self, place: &Place) -> Settings {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let name = |name| (Host::parse(name).expect("a name"), loopback);
        let mut settings = settings(place);
        settings.outbound.hosts = BTreeMap::from(["api.test", "x.api.test", "evil.test"].map(name));
        settings.outbound.private_ranges = vec!["127.0.0.1".parse().expect("a range")];
        settings.outbound.ca_file = Some(place.file("authority.pem", &self.authority));
        settings
    }

    /// Everything that arrived since the last time.
    pub fn arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.arrived.lock().expect("nobody panicked"))
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

async fn accept(listener: TcpListener, serve: impl Fn(TcpStream)) {
    while let Ok((stream, _)) = listener.accept().await {
        serve(stream);
    }
}

async fn serve<S>(stream: S, record: Arc<Mutex<Vec<Arrived>>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let answer = service_fn(move |request: Request<Incoming>| {
        let record = Arc::clone(&record);
        async move { Ok::<_, Infallible>(answer(request, &record).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    // How a connection ends is for the client to tell.
    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
}

/// Tells the guest all that arrived, in a header and in the body, as the path wants it.
async fn answer(request: Request<Incoming>, record: &Mutex<Vec<Arrived>>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
    let arrived =
        Arrived { uri: parts.uri.to_string(), headers: headers.collect(), body: text(&body) };
    let headers: String =
        arrived.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let said = format!("{}\n{headers}\n{}", arrived.uri, arrived.body);
    record.lock().expect("nobody panicked").push(arrived.clone());
    let echo = arrived.header("authorization").unwrap_or_default().to_owned();
    let mut response = Response::builder().header("content-type", "text/plain");
    if let Ok(echo) = HeaderValue::from_str(&echo) {
        response = response.header("x-echo", echo);
    }
    response = match parts.uri.path() {
        "/packed" => response.header("content-encoding", "gzip"),
        _ => response,
    };
    if let Some(to) = parts.uri.query().and_then(|query| query.strip_prefix("to=")) {
        response = response.status(302).header("location", to);
    }
    response.body(Body::from(said)).expect("an answer")
}
