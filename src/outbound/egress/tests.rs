//! What goes out with a value in it, what is refused, and what the guest gets back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use proptest::prelude::*;

use super::*;
use crate::environment::Overlay;
use crate::environment::redactor::ENCODED_FROM;
use crate::outbound::{Body, Response};
use crate::vault::{Exposure, MIN_EGRESS_VALUE};

const VALUE: &str = r#"s3cr3t/"value"+é ok"#;
const URL: &str = "https://api.example.com/v1/send";

/// The secret `KEY` for api.example.com, and what stands for it.
struct Run {
    egress: Egress,
    placeholder: String,
    uses: Arc<SecretUses>,
}

fn secret(key: &str, value: &str, hosts: &[&str], places: &[&str]) -> Arc<EgressSecret> {
    let hosts = hosts.iter().map(|host| host.parse().unwrap()).collect();
    let places = places.iter().map(|place| place.parse().unwrap()).collect();
    Arc::new(EgressSecret {
        key: key.into(),
        id: Id::from_bytes([7; 12]),
        version: 1,
        value: Arc::new(SealedValue::in_memory(value).unwrap()),
        uses: Uses::new(Exposure::Egress, hosts, places, Vec::new()).unwrap(),
    })
}

fn origin() -> Origin {
    let id = Id::from_bytes([7; 12]);
    Origin::Placeholder { secret: id, version: 1, policy: id, permission: 0 }
}

fn run_with(secrets: &[Arc<EgressSecret>], plain: bool) -> Run {
    let mut overlay = Overlay::with_capacity(0, 0);
    for secret in secrets {
        overlay.add(&secret.key, &placeholder(), origin());
    }
    let environment = overlay.settle().unwrap();
    let uses = Arc::default();
    let egress = Egress::new(secrets, &environment, plain, Arc::clone(&uses));
    Run { egress, placeholder: environment.get(&secrets[0].key).unwrap().value.into(), uses }
}

fn run(places: &[&str]) -> Run {
    run_with(&[secret("KEY", VALUE, &["api.example.com"], places)], false)
}

fn body(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never| match never {}).boxed_unsync()
}

fn chunked(text: &str, size: usize) -> Body {
    let chunks: Vec<_> = text
        .as_bytes()
        .chunks(size)
        .map(|chunk| Ok(Frame::data(Bytes::copy_from_slice(chunk))))
        .collect();
    StreamBody::new(tokio_stream::iter(chunks)).boxed_unsync()
}

/// A request in which `PH` stands for the placeholder.
struct Asked<'a> {
    url: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

const PLAIN: Asked<'_> = Asked { url: URL, headers: &[], body: "" };

impl Run {
    fn fill(&self, text: &str) -> String {
        text.replace("PH", &self.placeholder)
    }

    async fn insert(&self, asked: Asked<'_>) -> Result<(Request, Option<Carried>), String> {
        let mut request = hyper::Request::builder().uri(self.fill(asked.url));
        for (name, value) in asked.headers {
            request = request.header(self.fill(name), self.fill(value));
        }
        let request = request.body(chunked(&self.fill(asked.body), 7)).unwrap();
        self.insert_into(request).await
    }

    async fn insert_into(&self, request: Request) -> Result<(Request, Option<Carried>), String> {
        let uri = request.uri();
        let authority = uri.authority().unwrap().as_str();
        let destination = Destination::parse(uri.scheme_str().unwrap(), authority).unwrap();
        self.egress.insert(&destination, request).await.map_err(|error| error.to_string())
    }

    async fn sent(&self, asked: Asked<'_>) -> Request {
        let (request, carried) = self.insert(asked).await.unwrap();
        assert!(carried.is_some(), "nothing was put in");
        request
    }

    async fn refused(&self, asked: Asked<'_>) -> String {
        match self.insert(asked).await {
            Err(refused) => {
                assert!(!refused.contains(VALUE) && self.uses.list().is_empty(), "{refused}");
                refused
            }
            Ok((request, carried)) => panic!("{request:?} went out: {}", carried.is_some()),
        }
    }
}

async fn text(body: Body) -> String {
    let bytes = body.collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

#[test]
fn a_value_that_is_long_enough_is_masked_in_every_form() {
    assert_eq!(MIN_EGRESS_VALUE as usize, ENCODED_FROM);
}

#[test]
fn placeholders_have_one_length_and_are_never_the_same() {
    let (one, other) = (placeholder(), placeholder());
    assert_eq!((one.len(), other.len()), (PLACEHOLDER_LENGTH, PLACEHOLDER_LENGTH));
    assert_ne!(one, other);
}

#[tokio::test]
async fn a_header_carries_the_value_and_what_stands_around_it() {
    let run = run(&["header:authorization", "header:x-key"]);
    let sent = run
        .sent(Asked { headers: &[("Authorization", "Bearer PH"), ("X-Key", "PH,PH")], ..PLAIN })
        .await;
    let utf8 = |name: &str| std::str::from_utf8(sent.headers()[name].as_bytes()).unwrap();
    assert_eq!(utf8("authorization"), format!("Bearer {VALUE}"));
    assert_eq!(utf8("x-key"), format!("{VALUE},{VALUE}"));
    assert!(!format!("{sent:?}").contains("s3cr3t"), "{sent:?}");
    let uses = run.uses.list();
    assert_eq!(uses[0].host.as_deref(), Some("https://api.example.com"));
    assert_eq!((uses.len(), uses[0].count), (1, 1));
}

#[tokio::test]
async fn basic_credentials_are_opened_and_closed_again() {
    let run = run(&["header:authorization:basic"]);
    for credentials in ["user:PH", "PH:", "PH:x"] {
        let encoded = STANDARD.encode(run.fill(credentials));
        for spelled in [format!("Basic {encoded}"), format!("basic {}", encoded.replace('=', ""))] {
            let sent = run.sent(Asked { headers: &[("authorization", &spelled)], ..PLAIN }).await;
            let header = sent.headers()["authorization"].to_str().unwrap().to_owned();
            let decoded = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
            assert_eq!(decoded, credentials.replace("PH", VALUE).as_bytes());
        }
    }
}

#[tokio::test]
async fn a_query_and_a_path_carry_the_value_encoded() {
    let encoded = "s3cr3t%2F%22value%22%2B%C3%A9%20ok";
    let run = run(&["query:api key", "path:/bot{value}/*"]);
    let url = "https://api.example.com/v1?a=%2f+1&api%20key=PH&b";
    let sent = run.sent(Asked { url, ..PLAIN }).await;
    assert_eq!(sent.uri().query(), Some(&*format!("a=%2f+1&api%20key={encoded}&b")));
    assert_eq!(sent.uri().host(), Some("api.example.com"));
    let url = "https://api.example.com/botPH/send/it?x=1";
    let sent = run.sent(Asked { url, ..PLAIN }).await;
    assert_eq!(sent.uri().path(), format!("/bot{encoded}/send/it"));
    assert_eq!(sent.uri().query(), Some("x=1"));
    for step in ["..", "%2e%2E", "..%2fx", "x%5c..", "..;a=b/x", "%2e.%3b", "."] {
        let refused = run.refused_url(&format!("https://api.example.com/botPH/{step}")).await;
        assert!(refused.contains("has it in the path"), "{step}: {refused}");
    }
    let closed = self::run(&["path:/{value}/send"]);
    closed.sent(Asked { url: "https://api.example.com/PH/send", ..PLAIN }).await;
    for path in ["PH/send/more", "PH", "x/PH/send", "PH/../send", "PHPH/send"] {
        let url = format!("https://api.example.com/{path}");
        let refused = closed.refused_url(&url).await;
        assert!(
            refused.contains("path:/{value}/send") && refused.contains("the path"),
            "{refused}"
        );
    }
}

impl Run {
    /// Counts nothing of what was sent before.
    async fn refused_url(&self, url: &str) -> String {
        self.insert(Asked { url, ..PLAIN }).await.err().expect("it is refused")
    }
}

#[tokio::test]
async fn a_form_and_a_json_body_carry_the_value_in_any_cut() {
    let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let json = ("Content-Type", "application/vnd.api+json");
    let run = run(&["form:client_secret", "json:/auth/0/token", "json:/key"]);
    let body = "id=1&client_secret=PH&x=%2B";
    let sent = run.sent(Asked { headers: &[form, ("content-length", "999")], body, ..PLAIN }).await;
    let length = sent.headers()["content-length"].to_str().unwrap().to_owned();
    let sent = text(sent.into_body()).await;
    assert_eq!(sent.len().to_string(), length);
    let pairs: Vec<_> = form_urlencoded::parse(sent.as_bytes()).collect();
    assert_eq!(pairs[1], ("client_secret".into(), VALUE.into()));
    assert!(sent.starts_with("id=1&") && sent.ends_with("&x=%2B"), "{sent}");

    let body = r#"{"n": 1.0e3, "auth": [{"token":"PH"}], "key": "a PH b", "é": "\u0041"}"#;
    let sent = run.sent(Asked { headers: &[json], body, ..PLAIN }).await;
    let length = sent.headers()["content-length"].to_str().unwrap().to_owned();
    let sent = text(sent.into_body()).await;
    assert_eq!(sent.len().to_string(), length);
    let written = serde_json::to_string(VALUE).unwrap();
    assert_eq!(sent, body.replace("PH", written.trim_matches('"')));
    let read: serde_json::Value = serde_json::from_str(&sent).unwrap();
    assert_eq!(read.pointer("/auth/0/token").unwrap(), VALUE);
}

#[tokio::test]
async fn in_a_json_body_only_the_declared_strings_count() {
    let json = ("content-type", "application/json");
    let run = run(&["json:/key"]);
    let escaped = "\\u0065gress_";
    for body in [
        r#"{"other":"PH"}"#.to_owned(),
        r#"{"PH":"x","key":"x"}"#.into(),
        r#"{"key":"PH","other":"PH"}"#.into(),
        r#"{"key":["PH"]}"#.into(),
        r#"{"key":"PH","key":"x"}"#.into(),
        r#"["PH"]"#.into(),
        r#""PH""#.into(),
        r#"{"key":"PH""#.into(),
        r#"key=PH"#.into(),
        // One that is only spelled differently must not lend its place to another.
        format!(r#"{{"other":"PH","key":"{}"}}"#, run.fill("PH").replacen("egress_", escaped, 1)),
        format!(
            r#"{{"x":"PH","x":"","key":"{}"}}"#,
            run.fill("PH").replacen("egress_", escaped, 1)
        ),
    ] {
        let refused = run.refused(Asked { headers: &[json], body: &body, ..PLAIN }).await;
        assert!(refused.contains("may stand in json:/key"), "{body}: {refused}");
    }
}

#[tokio::test]
async fn another_place_is_refused_with_the_place_that_is_right() {
    let run = run(&["header:x-key"]);
    let basic = STANDARD.encode(run.fill("user:PH"));
    let basic = format!("Basic {basic}");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (asked, found) in [
        (Asked { headers: &[("authorization", "PH")], ..PLAIN }, "header:authorization"),
        (Asked { headers: &[("x-key-2", "PH")], ..PLAIN }, "header:x-key-2"),
        (Asked { headers: &[("x-key", "PH"), ("cookie", "PH")], ..PLAIN }, "header:cookie"),
        (Asked { headers: &[("authorization", &basic)], ..PLAIN }, "header:authorization:basic"),
        (Asked { headers: &[("PH", "x")], ..PLAIN }, "the name of a header"),
        (Asked { url: "https://api.example.com/?k=PH", ..PLAIN }, "query:k"),
        (Asked { url: "https://api.example.com/?PH", ..PLAIN }, "query:(as a name)"),
        (Asked { url: "https://api.example.com/a/PH", ..PLAIN }, "the path"),
        (Asked { headers: &[form], body: "k=PH", ..PLAIN }, "form:k"),
    ] {
        let refused = run.refused(asked).await;
        assert!(refused.contains(&format!("has it in {found}:")), "{found}: {refused}");
        assert!(refused.contains("the secret KEY may stand in header:x-key"), "{refused}");
    }
    let spelled = run.fill("https://api.example.com/?k=PH").replace("egress", "%65gress");
    assert!(run.refused_url(&spelled).await.contains("query:k"));
    let spelled = run.fill("https://api.example.com/PH").replace("egress", "egr%65ss");
    assert!(run.refused_url(&spelled).await.contains("the path"));
}

#[tokio::test]
async fn another_host_port_or_scheme_is_refused_with_the_host_that_is_right() {
    let run = run(&[]);
    for url in [
        "https://evil.example/",
        "https://api.example.com.evil.example/",
        "https://x.api.example.com/",
        "https://api.example.com:8443/",
        "http://api.example.com/",
        "http://api.example.com:443/",
    ] {
        let refused =
            run.refused(Asked { url, headers: &[("authorization", "PH")], ..PLAIN }).await;
        assert!(
            refused.contains("the secret KEY goes only to api.example.com"),
            "{url}: {refused}"
        );
        let to = url.trim_end_matches('/');
        assert!(refused.contains(to), "{url}: {refused}");
    }
    let sent = Asked { url: "https://API.example.com.:443/", ..PLAIN };
    run.sent(Asked { headers: &[("authorization", "PH")], ..sent }).await;
}

#[tokio::test]
async fn without_tls_it_takes_the_secrets_word_and_the_settings() {
    let secret = [secret("KEY", VALUE, &["http://api.example.com"], &[])];
    let asked =
        || Asked { url: "http://api.example.com/", headers: &[("authorization", "PH")], body: "" };
    let refused = run_with(&secret, false).refused(asked()).await;
    assert!(refused.contains("over TLS only"), "{refused}");
    run_with(&secret, true).sent(asked()).await;
}

#[tokio::test]
async fn what_is_not_the_placeholder_stays_as_it_is_and_carries_nothing() {
    let run = run(&[]);
    let upper = run.placeholder.to_uppercase();
    let twice = run.placeholder.replace("egress", "%2565gress");
    for value in ["", "PH".trim_start_matches("PH"), &upper, &twice, &run.placeholder[1..]] {
        let asked = Asked { headers: &[("authorization", value), ("range", "bytes=0-1")], ..PLAIN };
        let (request, carried) = run.insert(asked).await.unwrap();
        assert!(carried.is_none());
        assert_eq!(request.headers()["authorization"], value);
        assert_eq!(request.headers()["range"], "bytes=0-1");
    }
    assert!(run.uses.list().is_empty());
}

#[tokio::test]
async fn bodies_that_carry_nothing_pass_untouched() {
    let run = run(&[]);
    let long = "x".repeat(3 * BODY_LIMIT);
    for (kind, body) in [
        ("application/json", r#"{"a":1}"#),
        ("application/json", "\u{1}not json"),
        ("text/plain", "PH"),
        ("application/json", &long),
        ("application/x-www-form-urlencoded", &long),
    ] {
        let headers = [("content-type", kind)];
        let (request, carried) =
            run.insert(Asked { headers: &headers, body, ..PLAIN }).await.unwrap();
        assert!(carried.is_none() && !request.headers().contains_key("content-length"));
        assert_eq!(text(request.into_body()).await, run.fill(body));
    }
    let not_text = hyper::Request::builder().uri(URL).header("content-type", "application/json");
    let not_text = not_text.body(body(&b"\xff\xfe"[..])).unwrap();
    let (request, _) = run.insert_into(not_text).await.unwrap();
    assert_eq!(request.into_body().collect().await.unwrap().to_bytes()[..], *b"\xff\xfe");
}

#[tokio::test]
async fn of_two_types_of_a_body_none_makes_it_a_place() {
    let run = run(&["form:key", "json:/key"]);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let json = ("content-type", "application/json");
    let body = r#"{"note":"&key=PH&","key":"PH"}"#;
    let list = ("content-type", "application/x-www-form-urlencoded, a/b+json");
    for headers in [&[form, json][..], &[json, form], &[list]] {
        let (request, carried) = run.insert(Asked { headers, body, ..PLAIN }).await.unwrap();
        assert!(carried.is_none());
        assert_eq!(text(request.into_body()).await, run.fill(body));
    }
}

#[tokio::test]
async fn a_body_in_many_small_pieces_weighs_no_more_than_its_bytes() {
    use hyper::body::Body as _;

    let run = run(&["form:key"]);
    let pieces = (0..10_000).map(|number| match number % 100 {
        0 => Ok(Frame::data(Bytes::from_static(b"&"))),
        _ => Ok(Frame::data(Bytes::new())),
    });
    let body = StreamBody::new(tokio_stream::iter(pieces)).boxed_unsync();
    let form =
        hyper::Request::post(URL).header("content-type", "application/x-www-form-urlencoded");
    let (request, _) = run.insert_into(form.body(body).unwrap()).await.unwrap();
    let mut body = request.into_body();
    assert_eq!(body.size_hint().exact(), Some(100));
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((first.len(), body.is_end_stream()), (100, true));
}

#[tokio::test]
async fn a_long_body_takes_no_secret() {
    let run = run(&["form:key"]);
    let form = ("content-type", "application/x-www-form-urlencoded");
    let room = |length: usize| format!("key=PH&x={}", "x".repeat(length));
    let rest = run.fill(&room(0)).len();
    let short = room(BODY_LIMIT - 1 - rest);
    run.sent(Asked { headers: &[form], body: &short, ..PLAIN }).await;
    let long = room(BODY_LIMIT - rest);
    let refused = run.insert(Asked { headers: &[form], body: &long, ..PLAIN }).await;
    assert!(refused.err().unwrap().contains("64 KiB or more"));
}

#[tokio::test]
async fn two_secrets_go_each_to_its_place_and_one_refusal_stops_all() {
    let secrets = [
        secret("KEY", VALUE, &["api.example.com"], &["header:x-key"]),
        secret("ID", "the identity", &["*.example.com"], &["header:x-id", "query:id"]),
        secret("FAR", "another value", &["far.example"], &["header:x-far"]),
    ];
    let run = run_with(&secrets, false);
    let of = |at: usize| run.egress.granted[at].placeholder.clone();
    let (key, id, far) = (of(0), of(1), of(2));
    let sent = run.sent(Asked { headers: &[("x-key", &key), ("x-id", &id)], ..PLAIN }).await;
    assert_eq!(sent.headers()["x-id"], "the identity");
    assert_eq!(sent.headers()["x-key"].as_bytes(), VALUE.as_bytes());
    assert_eq!(run.uses.list().len(), 2);
    for headers in [[("x-key", &*key), ("x-far", &*far)], [("x-key", &*id), ("x-id", &*key)]] {
        let refused = run.insert(Asked { headers: &headers, ..PLAIN }).await;
        let refused = refused.err().unwrap();
        assert!(refused.contains("the secret"), "{refused}");
    }
    assert_eq!(run.uses.list().iter().map(|used| used.count).sum::<u64>(), 2);
}

#[tokio::test]
async fn a_variable_that_hides_the_secret_leaves_nothing_to_send() {
    let secrets = [secret("KEY", VALUE, &["api.example.com"], &[])];
    let mut overlay = Overlay::with_capacity(0, 0);
    overlay.add("KEY", &placeholder(), origin());
    overlay.add("KEY", "from a variable", Origin::Variable);
    let environment = overlay.settle().unwrap();
    let egress = Egress::new(&secrets, &environment, false, Arc::default());
    assert!(egress.granted.is_empty());
}

#[tokio::test]
async fn a_request_that_carries_a_value_asks_for_all_of_it_and_uncompressed() {
    let run = run(&[]);
    let headers = [
        ("authorization", "PH"),
        ("accept-encoding", "gzip, br"),
        ("range", "bytes=5-6"),
        ("if-range", "x"),
        ("request-range", "bytes=5-6"),
        ("accept-charset", "utf-16"),
        ("a-im", "gzip"),
    ];
    let sent = run.sent(Asked { headers: &headers, ..PLAIN }).await;
    let all: Vec<_> = sent.headers().get_all("accept-encoding").iter().collect();
    assert_eq!(all, ["identity"]);
    for name in ["range", "if-range", "request-range", "accept-charset", "a-im"] {
        assert!(!sent.headers().contains_key(name), "{name}");
    }
}

/// What the guest gets of an answer to a request that carries the value.
async fn answered(headers: &[(&str, &str)], body: Body) -> Result<Response, String> {
    let run = run(&[]);
    let asked = Asked { headers: &[("authorization", "PH")], ..PLAIN };
    let carried = run.insert(asked).await.unwrap().1.unwrap();
    let mut response = hyper::Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    carried.mask(response.body(body).unwrap()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn an_answer_that_repeats_the_value_is_masked_in_headers_and_body() {
    let base64 = STANDARD.encode(format!("user:{VALUE}"));
    let encoded = super::pairs::encoded(VALUE);
    let headers = [
        ("x-echo", VALUE),
        ("location", &*format!("https://api.example.com/?k={}", &*encoded)),
        ("www-authenticate", &base64),
        ("content-length", "99"),
        ("x-other", "plain"),
    ];
    for size in [1, 3, 1_000] {
        let said = format!("a {VALUE} b {} c {base64} d {}", &*encoded, serde_json::json!(VALUE));
        let answer = answered(&headers, chunked(&said, size)).await.unwrap();
        assert!(!answer.headers().contains_key("content-length"));
        assert_eq!(answer.headers()["x-other"], "plain");
        let printed = format!("{:?}", answer.headers());
        assert!(!printed.contains("s3cr3t") && !printed.contains(&base64[8..]), "{printed}");
        assert_eq!(answer.headers()["x-echo"], "[secret KEY]");
        let read = text(answer.into_body()).await;
        assert!(read.starts_with("a [secret KEY] b [secret KEY] c "), "{read}");
        assert!(read.ends_with(r#" d "[secret KEY]""#), "{read}");
        assert!(!read.contains(&base64[8..]), "{read}");
    }
}

#[tokio::test]
async fn how_much_of_an_answer_has_come_tells_nothing_of_a_guess() {
    let percent = super::pairs::encoded(VALUE);
    let unicode: String = VALUE.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    // Without its last characters, so that it is never the whole value.
    let base64 = STANDARD.encode(VALUE);
    let spelled = [VALUE, &*percent, &*unicode, &base64[..base64.len() - 4]];
    for (spelling, length) in
        spelled.iter().flat_map(|text| (0..text.len()).map(move |length| (text, length)))
    {
        let mut seen = Vec::new();
        for guess in [spelling.as_bytes()[..length].to_vec(), vec![b'.'; length]] {
            let start = [vec![b'.'; 1_000], guess].concat();
            let pieces = [start, b"|and the rest".to_vec()];
            let pieces = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece))));
            let whole = StreamBody::new(tokio_stream::iter(pieces)).boxed_unsync();
            let mut answer = answered(&[], whole).await.unwrap().into_body();
            let mut lengths = Vec::new();
            while let Some(frame) = answer.frame().await {
                lengths.push(frame.unwrap().into_data().unwrap().len());
            }
            assert_eq!(lengths.iter().sum::<usize>(), 1_000 + length + 13);
            seen.push(lengths);
        }
        assert_eq!(seen[0], seen[1], "the first {length} bytes of {spelling}");
    }
}

#[tokio::test]
async fn a_name_of_a_header_that_holds_the_value_is_left_out() {
    let run = run_with(&[secret("KEY", "Abc-Def_123", &["api.example.com"], &[])], false);
    let asked = Asked { headers: &[("authorization", "PH")], ..PLAIN };
    let carried = run.insert(asked).await.unwrap().1.unwrap();
    let response = hyper::Response::builder().header("x-Abc-Def_123-y", "1").header("x-z", "2");
    let answer = carried.mask(response.body(body("")).unwrap()).unwrap();
    assert_eq!(answer.headers().keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["x-z"]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_looked_through_is_refused() {
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        let refused = answered(&[("content-encoding", encoding)], body("x")).await.unwrap_err();
        assert!(refused.contains("cannot be looked through"), "{refused}");
    }
    for encoding in ["identity", "Identity"] {
        assert!(answered(&[("content-encoding", encoding)], body("x")).await.is_ok());
    }
    // Nothing comes, so there is nothing to look through.
    let empty = answered(&[("content-encoding", "gzip"), ("content-length", "5")], body("")).await;
    assert_eq!(empty.unwrap().headers()["content-length"], "5");
}

proptest! {
    #[test]
    fn wherever_a_placeholder_stands_the_value_goes_to_its_place_or_nowhere(
        value in "[ -~é]{6,30}",
        place in 0..4usize,
        before in "[a-zA-Z0-9 ]{0,6}",
        upper in any::<bool>(),
    ) {
        let places = ["header:x-key", "query:key", "form:key", "json:/key"];
        let secrets = [secret("KEY", &value, &["api.example.com"], &places[place..=place])];
        let run = run_with(&secrets, false);
        let mark = if upper { run.placeholder.to_uppercase() } else { run.placeholder.clone() };
        let spaced = before.replace(' ', "+");
        let json = format!(r#"{{"key":"{before}{mark}"}}"#);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sent_where: Vec<usize> = (0..4).filter(|spot| {
            let query = format!("https://api.example.com/?key={spaced}{mark}");
            let form = format!("key={spaced}{mark}");
            let header = format!("{before}{mark}");
            let asked = match *spot {
                0 => Asked { headers: &[("x-key", &header)], ..PLAIN },
                1 => Asked { url: &query, ..PLAIN },
                2 => Asked {
                    headers: &[("content-type", "application/x-www-form-urlencoded")],
                    body: &form,
                    ..PLAIN
                },
                _ => Asked {
                    headers: &[("content-type", "application/json")],
                    body: &json,
                    ..PLAIN
                },
            };
            runtime.block_on(run.insert(asked)).is_ok_and(|(_, carried)| carried.is_some())
        }).collect();
        let expected = if upper { vec![] } else { vec![place] };
        prop_assert_eq!(sent_where, expected);
    }
}
