//! Whom a request believes.

use std::io::Write as _;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(certificate.pem().as_bytes()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// The port of a server that shows a certificate for `name`, and answers with the name that
    /// was asked for in TLS and the protocol that was agreed on.
    async fn serve(&self, name: &str) -> u16 {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let (_, tls) = stream.get_ref();
                let protocol = tls.alpn_protocol().map(String::from_utf8_lossy);
                let said = format!(
                    "{:?} {protocol:?} {:?}",
                    tls.server_name(),
                    tls.handshake_kind().unwrap()
                );
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{said}", said.len());
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        port
    }

    fn fetch(&self) -> Fetch {
        let settings = Settings {
            private_ranges: vec!["127.0.0.1".parse().unwrap()],
            ca_file: Some(self.file.path().into()),
            ..Settings::default()
        };
        let lookup = Arc::new(|_: &str| Ok(vec!["127.0.0.1".parse().unwrap()]));
        let client = Client::with_lookup(&settings, lookup).unwrap();
        Session::new(client, Box::new(|_| Ok(())), Limits::default()).fetch()
    }
}

#[tokio::test]
async fn a_host_is_believed_by_its_certificate_for_the_normalised_name() {
    let authority = Authority::new("ours");
    let port = authority.serve("xn--bcher-kva.example").await;
    let fetch = authority.fetch();
    // Nothing of the first connection is of use to the second.
    for _ in 0..2 {
        let url = format!("https://XN--bcher-KVA.example.:{port}/");
        let answer = read(send(&fetch, get(url)).await.unwrap()).await.unwrap();
        assert_eq!(answer, r#"Some("xn--bcher-kva.example") Some("http/1.1") Full"#);
    }
    let port = authority.serve("127.0.0.1").await;
    let answer = send(&fetch, get(format!("https://127.0.0.1:{port}/"))).await.unwrap();
    assert!(read(answer).await.unwrap().starts_with("None "));
}

#[tokio::test]
async fn a_wrong_name_an_unknown_authority_and_no_tls_are_refused() {
    let (ours, other) = (Authority::new("ours"), Authority::new("theirs"));
    let wrong_name = ours.serve("other.example").await;
    let unknown = other.serve("api.example.com").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(server::OK.as_bytes()).await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let fetch = ours.fetch();
    for (port, why) in
        [(wrong_name, "not valid for name"), (unknown, "UnknownIssuer"), (plain, "TLS failed")]
    {
        let url = format!("https://api.example.com:{port}/");
        let failure = send(&fetch, get(url)).await.unwrap_err();
        assert!(failure.starts_with("TLS failed: ") && failure.contains(why), "{failure}");
    }
}

#[test]
fn a_file_without_certificates_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let client = |path: &std::path::Path| {
        let settings = Settings { ca_file: Some(path.into()), ..Settings::default() };
        Client::new(&settings).err().unwrap().to_string()
    };
    assert!(client(file.path()).contains("it holds no certificate"));
    let gone = client(std::path::Path::new("/nowhere/ca.pem"));
    assert!(gone.contains("/nowhere/ca.pem (the setting outbound_ca_file)"), "{gone}");
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    assert!(client(file.path()).contains("cannot be used"));
}
