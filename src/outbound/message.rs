//! What a request and an answer may carry from one side to the other.
//!
//! Owns the headers that belong to one connection, which neither side may set for the other.

use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri, Version, header};

use super::{Error, Request};
use crate::host::Destination;

/// The most header fields of an answer.
pub(super) const HEADERS: usize = 128;

/// The most bytes of an answer's header fields together, its first line included.
pub(super) const HEADER_BYTES: usize = 64 << 10;

/// Headers that are about one connection.
static HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// Where a request goes, from its URI alone.
pub(super) fn destination(uri: &Uri) -> Result<Destination, Error> {
    let invalid = |why: &dyn std::fmt::Display| {
        Error::Invalid(format!("the URL {uri} cannot be requested: {why}"))
    };
    let parts = uri.scheme_str().zip(uri.authority());
    let (scheme, authority) = parts.ok_or_else(|| invalid(&"it names no scheme or no host"))?;
    Destination::parse(scheme, authority.as_str()).map_err(|why| invalid(&why))
}

/// Makes a guest's request one that can go over a connection of its own to `destination`.
pub(super) fn clean(mut request: Request, destination: &Destination) -> Result<Request, Error> {
    if *request.method() == Method::CONNECT {
        return Err(Error::Invalid("the method CONNECT is for proxies, and there are none".into()));
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // A query may stand alone. Whatever else does not begin with a slash must not be sent as it is:
    // it could name another host to the server than the one that was checked.
    let path = match path.starts_with('/') {
        true => path.parse(),
        false => format!("/{path}").parse(),
    };
    let unfit = |what: &str| Error::Invalid(format!("the request has an unfit {what}"));
    *request.uri_mut() = path.map_err(|_| unfit("path"))?;
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    drop_hop_by_hop(headers);
    let host = HeaderValue::try_from(destination.authority()).map_err(|_| unfit("host"))?;
    headers.insert(HOST, host);
    if let Some(length) = content_length(headers)? {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    Ok(request)
}

/// The one length that the headers state.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut stated = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let length = digits.and_then(|text| text.parse().ok());
        if length.is_none() || stated.is_some_and(|stated| Some(stated) != length) {
            return Err(Error::Invalid("the content-length is not one number".into()));
        }
        stated = length;
    }
    Ok(stated)
}

/// Takes from an answer what was about its connection.
pub(super) fn receive(
    mut response: hyper::Response<hyper::body::Incoming>,
) -> Result<hyper::Response<hyper::body::Incoming>, Error> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::Protocol("it switches to another protocol".into()));
    }
    let headers = response.headers_mut();
    // Of the encodings of a connection only chunks are taken off. In another one the body could not
    // be looked through, and nobody would know.
    let chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !headers.get_all(header::TRANSFER_ENCODING).iter().all(chunked) {
        return Err(Error::Protocol(
            "it comes in a transfer-encoding that was not asked for".into(),
        ));
    }
    // A length beside an encoding is not the body's, and there is no encoding any more.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    drop_hop_by_hop(headers);
    Ok(response)
}

/// Removes the headers of one connection, those included that `connection` names.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // How a body is written is told to the end, whatever a connection says.
        .filter(|name| *name != CONTENT_ENCODING)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty};

    use super::*;

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = hyper::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Empty::new().map_err(|never| match never {}).boxed_unsync()).unwrap()
    }

    fn cleaned(uri: &str, headers: &[(&str, &str)]) -> Result<Request, String> {
        let request = request(uri, headers);
        let to = destination(request.uri()).map_err(|error| error.to_string())?;
        clean(request, &to).map_err(|error| error.to_string())
    }

    #[test]
    fn the_host_header_follows_the_uri_and_nothing_else() {
        let sent = cleaned(
            "https://API.example.com:443/a?b=c",
            &[("host", "evil.test"), ("host", "other.test")],
        );
        let sent = sent.unwrap();
        let hosts: Vec<_> = sent.headers().get_all("host").iter().collect();
        assert_eq!(hosts, ["api.example.com"]);
        assert_eq!(sent.uri(), "/a?b=c");
        let sent = cleaned("http://a.example:8080", &[]).unwrap();
        assert_eq!(
            (sent.headers()["host"].to_str().unwrap(), sent.uri().path()),
            ("a.example:8080", "/")
        );
    }

    #[test]
    fn what_is_asked_for_begins_with_a_slash() {
        for (asked, path) in [("", "/"), ("?a=b", "/?a=b"), ("//b.example/", "//b.example/")] {
            let sent = cleaned(&format!("https://a.example{asked}"), &[]).unwrap();
            assert_eq!((sent.uri().to_string().as_str(), sent.uri().host()), (path, None));
        }
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let sent = cleaned(
            "https://a.example/",
            &[
                ("connection", "close, X-Own"),
                ("x-own", "1"),
                ("transfer-encoding", "chunked"),
                ("content-length", "5"),
                ("te", "trailers"),
                ("trailer", "x"),
                ("upgrade", "websocket"),
                ("proxy-authorization", "x"),
                ("keep-alive", "1"),
                ("http2-settings", "x"),
                ("accept", "*/*"),
            ],
        );
        let sent = sent.unwrap();
        let mut names: Vec<_> = sent.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-length", "host"]);
    }

    #[test]
    fn a_length_is_one_number() {
        for lengths in
            [&["5", "6"][..], &["5,5"], &["-1"], &["+5"], &["0x5"], &["99999999999999999999"]]
        {
            let headers: Vec<_> = lengths.iter().map(|text| ("content-length", *text)).collect();
            let refused = cleaned("https://a.example/", &headers).unwrap_err();
            assert_eq!(refused, "the content-length is not one number", "{lengths:?}");
        }
        let same = [("content-length", "5"), ("content-length", "05")];
        let sent = cleaned("https://a.example/", &same).unwrap();
        assert_eq!(sent.headers().get_all("content-length").iter().collect::<Vec<_>>(), ["5"]);
    }

    #[test]
    fn what_is_no_request_to_a_host_is_refused() {
        for (uri, why) in [
            ("/a", "names no scheme"),
            ("https://user:pass@a.example/", "no user"),
            ("ftp://a.example/", "https or http"),
            ("https://127.1/", "four decimal numbers"),
            ("https://a.example:99999/", "65535"),
        ] {
            let refused = cleaned(uri, &[]).unwrap_err();
            assert!(refused.contains(why), "{uri}: {refused}");
        }
        let mut connect = request("https://a.example/", &[]);
        *connect.method_mut() = Method::CONNECT;
        let to = destination(connect.uri()).unwrap();
        assert!(clean(connect, &to).is_err());
    }
}
