//! URLs and forms, as the URL standard parses and writes them.

use rquickjs::{Function, Object};
use url::{Url, form_urlencoded, quirks};

use crate::bytes::Text;

/// Adds these functions to those of the host.
pub fn install(host: &Object<'_>) -> rquickjs::Result<()> {
    let ctx = host.ctx();
    host.set("parseUrl", Function::new(ctx.clone(), parse)?)?;
    host.set("changeUrl", Function::new(ctx.clone(), change)?)?;
    host.set("parseForm", Function::new(ctx.clone(), parse_form)?)?;
    host.set("writeForm", Function::new(ctx.clone(), write_form)?)?;
    host.set(
        "domainToAscii",
        Function::new(ctx.clone(), |text: Text| quirks::domain_to_ascii(&text.0))?,
    )?;
    host.set(
        "domainToUnicode",
        Function::new(ctx.clone(), |text: Text| quirks::domain_to_unicode(&text.0))?,
    )
}

/// The parts of a URL, in the order in which `../prelude/url.js` names them.
fn parts(url: &Url) -> Vec<String> {
    let parts: [&str; 10] = [
        quirks::href(url),
        quirks::protocol(url),
        quirks::username(url),
        quirks::password(url),
        quirks::host(url),
        quirks::hostname(url),
        quirks::port(url),
        quirks::pathname(url),
        quirks::search(url),
        quirks::hash(url),
    ];
    let mut parts = parts.map(str::to_owned).to_vec();
    parts.push(quirks::origin(url));
    parts
}

/// The parts of a URL that may be relative to a base.
fn parse(text: Text, base: Option<Text>) -> Option<Vec<String>> {
    let base = match base {
        Some(base) => Some(Url::parse(&base.0).ok()?),
        None => None,
    };
    Url::options().base_url(base.as_ref()).parse(&text.0).ok().map(|url| parts(&url))
}

/// The parts of a URL after one of them changed. What is not valid changes nothing, as the
/// standard says of all setters but that of `href`.
fn change(href: Text, part: Text, value: Text) -> Option<Vec<String>> {
    let mut url = Url::parse(&href.0).ok()?;
    let value = value.0.as_str();
    let _ = match part.0.as_str() {
        "protocol" => quirks::set_protocol(&mut url, value),
        "username" => quirks::set_username(&mut url, value),
        "password" => quirks::set_password(&mut url, value),
        "host" => quirks::set_host(&mut url, value),
        "hostname" => quirks::set_hostname(&mut url, value),
        "port" => quirks::set_port(&mut url, value),
        "pathname" => {
            quirks::set_pathname(&mut url, value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, value);
            Ok(())
        }
        _ => Err(()),
    };
    Some(parts(&url))
}

/// Names and values by turns.
fn parse_form(text: Text) -> Vec<String> {
    let pairs = form_urlencoded::parse(text.0.as_bytes());
    pairs.flat_map(|(name, value)| [name.into_owned(), value.into_owned()]).collect()
}

fn write_form(pairs: Vec<Text>) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for pair in pairs.chunks_exact(2) {
        if let [name, value] = pair {
            out.append_pair(&name.0, &value.0);
        }
    }
    out.finish()
}
