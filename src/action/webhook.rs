//! Webhook triggers: a request from outside, signed with a secret of the profile.
//!
//! Owns the forms of signatures and their check. The key comes from outside for one check and is
//! neither kept nor shown. It knows no HTTP beyond a header's name, and remembers no request:
//! who calls keeps the key of repetitions for the term that it is given.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::fields::Fields;
use super::refusal::InvalidAction;
use crate::clock::Timestamp;
use crate::id::Id;
use crate::words::words;

/// The longest header name and prefix, in characters.
const MAX_LENGTH: usize = 100;

/// How many signatures one header may list, for senders that are changing their key.
const MAX_SIGNATURES: usize = 10;

/// How far a signed time may be from the present, in seconds, where the action does not say.
const TOLERANCE: u32 = 300;

/// How long a signature without a time is remembered, in seconds, where the action does not say.
const DEDUPE: u32 = 86_400;

/// The longest tolerance and the longest memory, in seconds.
const MAX_TOLERANCE: u32 = 86_400;
const MAX_DEDUPE: u32 = 30 * 86_400;

const TIMESTAMPED_HEADER: &str = "runner-signature";

const EXAMPLE: &str = r#"{"secret": "<id of a secret>", "form": "github"}"#;

/// A form of one's own, for messages.
const OWN: &str = r#"{"header": "x-signature", "prefix": "sha256=", "encoding": "hex"}"#;

const KNOWN: [&str; 6] =
    ["secret", "form", "header", "tolerance_seconds", "dedupe_seconds", "unsigned"];

words! {
    /// How the bytes of a signature are written.
    Encoding:
    Hex "hex" => "Hexadecimal digits, in either case.";
    Base64 "base64" => "Base64 of the standard alphabet, with padding.";
}

/// Who may call the hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Webhook {
    /// Anybody, because the action says so.
    Unsigned,
    /// Who signs.
    Signed(Signature),
}

/// A signature that requests must carry: HMAC-SHA-256 under a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature {
    /// The secret whose value is the key.
    pub secret: Id,
    /// The name of the header that carries it, in lower case.
    pub header: String,
    form: Form,
}

/// What is signed, and how that is written in the header.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Form {
    /// The body, as GitHub does it: `sha256=` and hexadecimal digits.
    GitHub { dedupe: u32 },
    /// The body, in a form of the action's own.
    Body { prefix: String, encoding: Encoding, dedupe: u32 },
    /// `t=<seconds>,v1=<hex>[,v1=<hex>…]`, over the seconds, a dot and the body.
    Timestamped { tolerance: u32 },
}

/// A request that is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// What repetitions of the request share.
    pub dedupe_key: String,
    /// How long to remember it.
    pub keep: Duration,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no signature at all.
    #[error("the header {0} with the signature is missing")]
    Missing(String),
    /// The header cannot be read.
    #[error("the header {header} is malformed; it has the form {form}")]
    Malformed {
        /// The header's name.
        header: String,
        /// What it must look like.
        form: String,
    },
    /// Another key signed, or another body was signed.
    #[error("the signature does not match")]
    Mismatch,
    /// The signed time is too long ago.
    #[error("the request was signed more than {0} seconds ago")]
    TooOld(u32),
    /// The signed time is ahead.
    #[error("the request was signed more than {0} seconds in the future; check the clocks")]
    InTheFuture(u32),
}

impl Webhook {
    pub(super) fn parse(value: &Value) -> Result<Self, InvalidAction> {
        let fields = Fields::new(value, &KNOWN, EXAMPLE)?;
        let Some(secret) = fields.optional_id("secret")? else {
            if !fields.flag("unsigned")? {
                let problem = "a webhook without a secret would start runs for anybody";
                let advice = "name the secret whose value signs, or say \"unsigned\": true";
                return Err(InvalidAction::new("secret", problem, advice));
            }
            if let Some(name) = KNOWN[1..5].iter().find(|name| fields.get(name).is_some()) {
                let problem = "an unsigned webhook has no form of signature";
                return Err(InvalidAction::new(*name, problem, "leave it out, or name a secret"));
            }
            return Ok(Self::Unsigned);
        };
        if fields.flag("unsigned")? {
            let problem = "a webhook with a secret is not unsigned";
            return Err(InvalidAction::new("unsigned", problem, "leave one of the two out"));
        }
        Ok(Self::Signed(Signature::parse(&fields, secret)?))
    }

    /// The entry as the API shows it.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Unsigned => json!({"unsigned": true}),
            Self::Signed(signature) => signature.to_json(),
        }
    }
}

impl Signature {
    fn parse(fields: &Fields<'_>, secret: Id) -> Result<Self, InvalidAction> {
        let alone = |name: &str, form: &str| match fields.get(name) {
            Some(_) => {
                let problem = format!("this form has no {name}");
                let advice = format!("leave it out, or use {form}");
                Err(InvalidAction::new(name, problem, advice))
            }
            None => Ok(()),
        };
        let dedupe = || {
            alone("header", "the form \"timestamped\" or one of your own")?;
            alone("tolerance_seconds", "the form \"timestamped\", which signs a time")?;
            Ok(fields.number("dedupe_seconds", 1..=MAX_DEDUPE)?.unwrap_or(DEDUPE))
        };
        match fields.get("form") {
            Some(Value::String(word)) if word == "github" => {
                let form = Form::GitHub { dedupe: dedupe()? };
                Ok(Self { secret, header: "x-hub-signature-256".into(), form })
            }
            Some(Value::String(word)) if word == "timestamped" => {
                alone(
                    "dedupe_seconds",
                    "another form; this one remembers for twice its tolerance",
                )?;
                let tolerance = fields.number("tolerance_seconds", 1..=MAX_TOLERANCE)?;
                let form = Form::Timestamped { tolerance: tolerance.unwrap_or(TOLERANCE) };
                let header = match fields.get("header") {
                    Some(_) => header(fields)?,
                    None => TIMESTAMPED_HEADER.into(),
                };
                Ok(Self { secret, header, form })
            }
            Some(value @ Value::Object(_)) => {
                let dedupe = dedupe()?;
                Self::parse_own(value, secret, dedupe).map_err(|refusal| refusal.inside("form"))
            }
            found => {
                let rule = "the form of the signature must be said";
                let advice = format!("write \"github\", \"timestamped\", or for example {OWN}");
                Err(InvalidAction::found("form", found, rule, advice))
            }
        }
    }

    fn parse_own(value: &Value, secret: Id, dedupe: u32) -> Result<Self, InvalidAction> {
        let fields = Fields::new(value, &["header", "prefix", "encoding"], OWN)?;
        let prefix = fields.optional_text("prefix", MAX_LENGTH, "sha256=")?.unwrap_or("");
        if !prefix.is_ascii() {
            let problem = "a header carries ASCII characters only";
            return Err(InvalidAction::new("prefix", problem, "write for example \"sha256=\""));
        }
        let encoding = fields.word("encoding", Encoding::ALL)?;
        let form = Form::Body { prefix: prefix.into(), encoding, dedupe };
        Ok(Self { secret, header: header(&fields)?, form })
    }

    /// Whether a request is signed with `key`. `headers` gives a header's value by its name in
    /// lower case; `body` is as it came.
    ///
    /// # Errors
    ///
    /// No or another signature; a signed time that is outside of the tolerance. Times are looked
    /// at only once the signature matches. Comparison takes the same time wherever they differ.
    pub fn verify<'h>(
        &self,
        key: &[u8],
        headers: impl Fn(&str) -> Option<&'h str>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Verified, Refused> {
        let value = headers(&self.header).ok_or_else(|| Refused::Missing(self.header.clone()))?;
        let (signed, given) = self.read(value).ok_or_else(|| Refused::Malformed {
            header: self.header.clone(),
            form: self.shape(),
        })?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| Refused::Mismatch)?;
        if let Some(text) = signed {
            mac.update(text.as_bytes());
            mac.update(b".");
        }
        mac.update(body);
        let mut matches = false;
        for signature in &given {
            matches |= mac.clone().verify_slice(signature).is_ok();
        }
        if !matches {
            return Err(Refused::Mismatch);
        }
        let keep = match self.form {
            Form::GitHub { dedupe } | Form::Body { dedupe, .. } => dedupe,
            Form::Timestamped { tolerance } => {
                let seconds = signed.and_then(|text| text.parse().ok()).unwrap_or(i64::MIN);
                let millis = Timestamp::from_millis(seconds.saturating_mul(1000));
                let window = Duration::from_secs(tolerance.into());
                if millis.plus(window) < now {
                    return Err(Refused::TooOld(tolerance));
                }
                if now.plus(window) < millis {
                    return Err(Refused::InTheFuture(tolerance));
                }
                tolerance * 2
            }
        };
        let dedupe_key = hex(&mac.finalize().into_bytes());
        Ok(Verified { dedupe_key, keep: Duration::from_secs(keep.into()) })
    }

    /// The signed time, if the form has one, as it was signed, and the signatures.
    fn read<'v>(&self, value: &'v str) -> Option<(Option<&'v str>, Vec<[u8; 32]>)> {
        match &self.form {
            Form::GitHub { .. } => Some((None, vec![unhex(value.strip_prefix("sha256=")?)?])),
            Form::Body { prefix, encoding, .. } => {
                let text = value.strip_prefix(prefix.as_str())?;
                let signature = match encoding {
                    Encoding::Hex => unhex(text)?,
                    Encoding::Base64 => STANDARD.decode(text).ok()?.try_into().ok()?,
                };
                Some((None, vec![signature]))
            }
            Form::Timestamped { .. } => {
                let mut time = None;
                let mut signatures = Vec::new();
                for part in value.split(',') {
                    match part.trim().split_once('=')? {
                        ("t", text) if time.is_none() => {
                            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                            text.parse::<i64>().ok().filter(|_| digits)?;
                            time = Some(text);
                        }
                        ("v1", text) if signatures.len() < MAX_SIGNATURES => {
                            signatures.push(unhex(text)?);
                        }
                        ("t" | "v1", _) => return None,
                        // Senders add schemes of their own beside v1.
                        _ => {}
                    }
                }
                Some((Some(time?), signatures)).filter(|(_, signatures)| !signatures.is_empty())
            }
        }
    }

    /// What the header must look like.
    fn shape(&self) -> String {
        match &self.form {
            Form::GitHub { .. } => "sha256=<64 hexadecimal digits>".into(),
            Form::Body { prefix, encoding: Encoding::Hex, .. } => {
                format!("{prefix}<64 hexadecimal digits>")
            }
            Form::Body { prefix, .. } => format!("{prefix}<base64 of 32 bytes>"),
            Form::Timestamped { .. } => {
                "t=<Unix time in seconds>,v1=<64 hexadecimal digits>".into()
            }
        }
    }

    fn to_json(&self) -> Value {
        match &self.form {
            Form::GitHub { dedupe } => {
                json!({"secret": self.secret, "form": "github", "dedupe_seconds": dedupe})
            }
            Form::Body { prefix, encoding, dedupe } => json!({
                "secret": self.secret,
                "form": {"header": self.header, "prefix": prefix, "encoding": encoding},
                "dedupe_seconds": dedupe,
            }),
            Form::Timestamped { tolerance } => json!({
                "secret": self.secret,
                "form": "timestamped",
                "header": self.header,
                "tolerance_seconds": tolerance,
            }),
        }
    }
}

/// The header's name in lower case.
fn header(fields: &Fields<'_>) -> Result<String, InvalidAction> {
    let name = fields.text("header", MAX_LENGTH, "x-signature")?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !name.bytes().all(token) {
        let problem = format!("{name:?} is no name of a header");
        return Err(InvalidAction::new("header", problem, "use letters, digits, \"-\" and \"_\""));
    }
    Ok(name.to_ascii_lowercase())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}
