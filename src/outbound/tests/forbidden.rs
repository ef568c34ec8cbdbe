//! Names and addresses that lead where nobody may go.

use super::*;

/// Spellings of hosts that are not the public internet. A server listens on every one of them
/// that this machine has.
const CORPUS: &[&str] = &[
    "127.0.0.1",
    "127.0.0.2",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0",
    "0.0.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "0177.1",
    "127.0.0.01",
    "127.0.0.1.",
    "1.2.3.4.5",
    "１２７.0.0.1",
    "127。0。0。1",
    "10.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.1",
    "169.254.169.254",
    "2852039166",
    "169.254.170.2",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "198.18.0.1",
    "192.0.2.1",
    "198.51.100.1",
    "203.0.113.1",
    "192.88.99.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "[2001:db8::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fec0::1]",
    "[ff02::1]",
    "[100::1]",
    "[5f00::1]",
    "localhost",
    "LOCALHOST.",
    "localhost.localdomain",
    "user@127.0.0.1",
    "api.example.com@127.0.0.1",
    "127.0.0.1@api.example.com",
    "[::1",
];

#[tokio::test]
async fn none_of_the_corpus_is_reached() {
    assert!(CORPUS.len() >= 60);
    let server = Server::new().await;
    // Nothing is opened, every policy allows everything, and names resolve as on this machine.
    let client = Client::new(&Settings::default()).unwrap();
    let fetch = Session::new(client, Box::new(|_| Ok(())), Limits::default()).fetch();
    for host in CORPUS {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}:{}/", server.port);
            // What is no URI at all cannot even be asked for.
            let Ok(uri) = url.parse::<hyper::Uri>() else { continue };
            let mut request = get("http://a.example/");
            *request.uri_mut() = uri;
            let failure = fetch(request, Timeouts::default()).await.err();
            assert!(
                matches!(
                    failure,
                    Some(Error::Denied(_) | Error::Invalid(_) | Error::UnknownName(_))
                ),
                "{url}: {failure:?}"
            );
        }
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn names_that_lead_to_the_corpus_are_refused() {
    let addresses: Vec<IpAddr> = CORPUS
        .iter()
        .filter_map(|host| host.trim_matches(['[', ']']).parse().ok())
        .filter(|address: &IpAddr| address.to_string() != "127.0.0.1")
        .collect();
    assert!(addresses.len() >= 40, "{}", addresses.len());
    let server = Server::new().await;
    for address in addresses {
        let text = address.to_string();
        // Even among good ones.
        for answer in [vec![text.as_str()], vec!["127.0.0.1", &text]] {
            let (client, _) = client(&[&answer]);
            let fetch = Session::new(client, Box::new(|_| Ok(())), Limits::default()).fetch();
            let refused = send(&fetch, get(server.url("/"))).await.unwrap_err();
            assert!(refused.starts_with("api.example.com leads to "), "{address}: {refused}");
        }
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_its_checked_address_is_connected_to() {
    let server = Server::new().await;
    // A rebinding name: good when it is checked, private whenever it is asked again.
    let (client, looked) = client(&[&["127.0.0.1"], &["169.254.169.254"]]);
    let fetch = Session::new(client, Box::new(|_| Ok(())), Limits::default()).fetch();
    assert_eq!(read(send(&fetch, get(server.url("/"))).await.unwrap()).await.unwrap(), "ok");
    assert_eq!((looked.load(Ordering::Relaxed), server.accepted()), (1, 1));
    let refused = send(&fetch, get(server.url("/"))).await.unwrap_err();
    assert!(refused.contains("metadata"), "{refused}");
    assert_eq!((looked.load(Ordering::Relaxed), server.accepted()), (2, 1));
}

#[tokio::test]
async fn what_no_policy_allows_is_not_even_looked_up() {
    let (client, looked) = client(&[&["127.0.0.1"]]);
    let fetch = Session::new(client, Box::new(|_| Err("no".into())), Limits::default()).fetch();
    assert_eq!(send(&fetch, get("https://a.example/")).await.unwrap_err(), "no");
    assert_eq!(looked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_does_not_answer() {
    let server = Server::new().await;
    let lookup = Arc::new(|_: &str| {
        Ok(["127.0.0.2", "127.0.0.1"].map(|text| text.parse().unwrap()).to_vec())
    });
    let ranges = vec!["127.0.0.0/8".parse().unwrap()];
    let settings = Settings { private_ranges: ranges, ..Settings::default() };
    let client = Client::with_lookup(&settings, lookup).unwrap();
    let fetch = Session::new(client, Box::new(|_| Ok(())), Limits::default()).fetch();
    assert!(send(&fetch, get(server.url("/"))).await.is_ok());
    let port = server.port;
    drop(server);
    tokio::task::yield_now().await;
    let refused = send(&fetch, get(format!("http://a.example:{port}/"))).await.unwrap_err();
    assert_eq!(refused, format!("the connection to a.example:{port} was refused"));
}
