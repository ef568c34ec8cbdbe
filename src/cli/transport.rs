//! One HTTP exchange over a socket of this machine or a connection to a server.
//!
//! Owns addresses, connections and TLS. It does not know what is asked or answered.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::failure::Failure;
use crate::fault::ErrorCode;

/// How long a server may take to accept a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a server listens, and whether the way there is encrypted.
pub struct Server {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Server {
    /// The server at `url`, which is `http://HOST[:PORT]` or `https://HOST[:PORT]`.
    ///
    /// Plain HTTP to another machine is refused unless `insecure_http`: it would carry tokens and
    /// secret values in the open.
    pub fn new(url: &str, insecure_http: bool) -> Result<Self, Failure> {
        let wrong = |what: &str| {
            Failure::usage(format_args!("the server address {url:?} {what}"))
                .hint("--server http://127.0.0.1:8888")
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') || uri.path() != "/" || uri.query().is_some() {
            return Err(wrong("has more in it than a host and a port"));
        }
        // The parser lets a port that is no number, or too large, pass as none.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if tls { 443 } else { 80 }),
            _ => authority.port_u16(),
        };
        let port = port.ok_or_else(|| wrong("has no valid port"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("names no host"));
        }
        if !tls && !insecure_http && !is_loopback(&host) {
            return Err(wrong("is plain HTTP to another machine, where tokens travel in the open")
                .hint("an https:// address, or --insecure-http if the network is yours"));
        }
        let tls = if tls { Some(connector()?) } else { None };
        Ok(Self { host, port, tls })
    }

    /// The value of the `host` header.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// Sends one request on a connection of its own, and waits for the whole answer.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Received, Failure> {
        let response = self.stream(request).await?;
        receive(response).await.map_err(|error| self.unreachable(&error))
    }

    /// Sends one request on a connection of its own, and waits until its answer begins.
    pub async fn stream(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Failure> {
        let connect = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let Some(tls) = &self.tls else { return Ok(Stream::Plain(stream)) };
            let name = ServerName::try_from(self.host.clone()).map_err(std::io::Error::other)?;
            Ok(Stream::Tls(Box::new(tls.connect(name, stream).await?)))
        };
        let stream: std::io::Result<Stream> = tokio::time::timeout(CONNECT_TIMEOUT, connect)
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream = stream.map_err(|error| self.unreachable(&error))?;
        let response = match stream {
            Stream::Plain(stream) => exchange(stream, request).await,
            Stream::Tls(stream) => exchange(stream, request).await,
        };
        response.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Failure {
        let message = format!("no answer from {}: {}", self.authority(), causes(error));
        Failure::refused(ErrorCode::Unreachable, message)
            .hint("is `runner serve` running there, and is --server right?")
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// A whole answer.
pub struct Received {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// Sends one request to the server that holds the data directory with this socket, and waits for
/// the whole answer.
pub async fn send_to_socket(
    path: &Path,
    request: Request<Full<Bytes>>,
) -> Result<Received, Failure> {
    let response = stream_from_socket(path, request).await?;
    receive(response).await.map_err(|error| socket_unreachable(path, &error))
}

/// As [`send_to_socket`], but waits only until the answer begins.
pub async fn stream_from_socket(
    path: &Path,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let stream = UnixStream::connect(path).await;
    let stream = stream.map_err(|error| socket_unreachable(path, &error))?;
    exchange(stream, request).await.map_err(|error| socket_unreachable(path, &error))
}

fn socket_unreachable(path: &Path, error: &dyn std::error::Error) -> Failure {
    let message = format!("no answer from {}: {}", path.display(), causes(error));
    Failure::refused(ErrorCode::Unreachable, message)
        .hint("the command again; the `runner serve` of this data directory may have just stopped")
}

/// Collects a body into one piece.
pub async fn receive<B>(response: Response<B>) -> Result<Received, B::Error>
where
    B: hyper::body::Body,
{
    let (parts, body) = response.into_parts();
    Ok(Received { status: parts.status, body: body.collect().await?.to_bytes() })
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends by itself once the sender and the body are gone; its error reaches them too.
    tokio::spawn(connection);
    sender.send_request(request).await
}

fn connector() -> Result<TlsConnector, Failure> {
    let native = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(native.certs);
    if usable == 0 {
        let reason = native.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        return Err(Failure::usage(format_args!(
            "this machine has no certificate authorities to check the server against{reason}"
        ))
        .hint("install ca-certificates, or set SSL_CERT_FILE"));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::refused(ErrorCode::InternalError, error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// An error with the errors below it: hyper's own text hides the reason.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        for url in
            ["http://127.0.0.1:8888", "http://localhost/", "http://[::1]:1", "http://127.9.9.9"]
        {
            assert!(Server::new(url, false).is_ok(), "{url}");
        }
        for url in
            ["http://10.0.0.1:8888", "http://runner.example", "http://[::2]", "http://0.0.0.0"]
        {
            let failure = Server::new(url, false).err().expect(url);
            assert!(failure.to_string().contains("plain HTTP"), "{failure}");
            assert_eq!(failure.exit_status(), 2);
            assert!(Server::new(url, true).is_ok(), "{url}");
        }
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        let wrong = [
            "",
            "localhost",
            "localhost:8888",
            "ftp://localhost",
            "http://",
            "http://localhost/path",
            "http://localhost/?q",
            "http://user@localhost",
            "http://user:pw@localhost",
            "http://localhost:99999",
            "http://localhost:",
            "http://localhost:x",
            "http://local host",
        ];
        for url in wrong {
            assert!(Server::new(url, true).is_err(), "{url}");
        }
        let authority = |url| Server::new(url, true).ok().map(|server| server.authority());
        assert_eq!(authority("http://localhost").as_deref(), Some("localhost:80"));
        assert_eq!(authority("http://[::1]:8888").as_deref(), Some("[::1]:8888"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let request = Request::new(Full::default());
        let failure = Server::new(&url, false).unwrap().send(request).await.err().unwrap();
        assert_eq!(failure.error_code(), Some(ErrorCode::Unreachable));
        assert_eq!(failure.exit_status(), 6);
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_is_unreachable() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::new(&format!("http://{}", listener.local_addr().unwrap()), false);
        let accept = tokio::spawn(async move { drop(listener.accept().await) });
        let failure = server.unwrap().send(Request::new(Full::default())).await.err().unwrap();
        assert_eq!(failure.error_code(), Some(ErrorCode::Unreachable));
        accept.await.unwrap();
    }
}
